"""Archives of real data, where they are at hand."""

import tarfile
from pathlib import Path

import pytest


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack an archive of the shared data into a folder, and return the folder."""
    if not archive.exists():
        pytest.skip(f"{archive.name} is not here")
    with tarfile.open(archive) as source:
        source.extractall(folder, filter="data")
    return folder
