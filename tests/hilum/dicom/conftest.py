"""Real DICOM files, unpacked once."""

from pathlib import Path

import pytest

from tests.archives import unpacked


@pytest.fixture(scope="session")
def real_studies(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    return unpacked(shared_data / "dicom-studies.tar.xz", folder) / "dicom-studies"


@pytest.fixture(scope="session")
def real_slices(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slices")
    return unpacked(shared_data / "dicom-slices.tar.xz", folder) / "dicom-slices"


@pytest.fixture(scope="session")
def odd_files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("odd")
    return unpacked(shared_data / "dicom-odd.tar.xz", folder) / "dicom-odd"
