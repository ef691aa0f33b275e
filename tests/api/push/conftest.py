"""The results of one job, as files that are to go out."""

from pathlib import Path

import pytest

from api.push.outgoing import Outgoing
from hilum.dicom.results import result_objects
from tests.analyses import analysis_of
from tests.phantoms import chest


@pytest.fixture(scope="session")
def results_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for name, data in result_objects(analysis_of(chest())):
        (folder / f"{name}.dcm").write_bytes(data)
    return folder


@pytest.fixture
def results(results_folder: Path) -> list[Outgoing]:
    """Segmentation, measurements, key image and document of a phantom."""
    return [Outgoing.of(path) for path in sorted(results_folder.iterdir())]
