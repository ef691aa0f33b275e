"""The results of one job, as files that are to go out."""

import subprocess
from pathlib import Path

import pytest

from api.push.outgoing import Outgoing
from hilum.dicom.results import result_objects
from tests.analyses import analysis_of
from tests.phantoms import chest
from tests.programs import installed


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


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    public, private = str(folder / "certificate.pem"), str(folder / "key.pem")
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext"
    command = [installed("openssl", package="openssl"), *words.split()]
    command += ["subjectAltName=DNS:localhost", "-out", public, "-keyout", private]
    subprocess.run(command, check=True, capture_output=True)
    return public, private
