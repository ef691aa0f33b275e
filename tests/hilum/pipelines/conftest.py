"""One run of the shipped network over one chest serves every test of this folder."""

from pathlib import Path

import pytest

from hilum.findings import Analysis
from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import load
from hilum.phantom import Phantom, make_phantom
from hilum.pipelines.analyse import analyse_fully


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return load("resnet50", device="cpu")


@pytest.fixture(scope="session")
def ill() -> Phantom:
    """A chest as fine as a scanner's, thinned to a quarter of its slices."""
    return make_phantom(slices=16)


@pytest.fixture(scope="session")
def analysis(ill: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    folder: Path = tmp_path_factory.mktemp("ill")
    ill.write_dicom(folder)
    return analyse_fully(folder, device="cpu")
