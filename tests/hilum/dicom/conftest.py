"""Real DICOM files, unpacked once."""

import tarfile
from pathlib import Path

import pytest


def unpacked(archive: Path, folder: Path) -> Path:
    if not archive.exists():
        pytest.skip(f"{archive.name} is not here")
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    return folder


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
