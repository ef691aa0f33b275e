import tracemalloc
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from hilum.dicom.deflated import inflates_too_far
from hilum.dicom.header import open_dataset
from tests.phantoms import write, write_chest

MIB = 1024 * 1024


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return min(write_chest(tmp_path / "chest").glob("*.dcm"))


def deflated(plain: Path, content: bytes) -> Path:
    """A file that becomes this content."""
    dataset = pydicom.dcmread(plain)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(plain)
    begin = 144 + pydicom.filereader.read_file_meta_info(plain).FileMetaInformationGroupLength
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(content) + packer.flush()
    plain.write_bytes(plain.read_bytes()[:begin] + packed)
    return plain


def test_a_small_file_that_would_fill_the_memory_is_none(plain: Path) -> None:
    bomb = deflated(plain, bytes(100 * MIB))

    tracemalloc.start()
    found = open_dataset(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert bomb.stat().st_size < MIB
    assert found is None
    assert peak < 16 * MIB


def test_a_mask_may_pack_as_well_as_it_does(plain: Path) -> None:
    assert not inflates_too_far(deflated(plain, bytes(40 * MIB)))


def test_an_ordinary_deflated_slice_is_read(tmp_path: Path) -> None:
    [slice_] = [pydicom.dcmread(min(write_chest(tmp_path / "chest").glob("*.dcm")))]
    slice_.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    folder = write(tmp_path / "deflated", [slice_])

    found = open_dataset(min(folder.glob("*.dcm")))

    assert found is not None
    assert found.SOPInstanceUID == slice_.SOPInstanceUID


def test_a_broken_stream_is_none(plain: Path) -> None:
    file = deflated(plain, b"")
    file.write_bytes(file.read_bytes()[:-1] + b"\xff" * 64)

    assert open_dataset(file) is None
