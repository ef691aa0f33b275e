from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from hilum.dicom.identity import content_digest
from tests.phantoms import write_chest


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_chest(tmp_path_factory.mktemp("identity"))
    return min(folder.glob("*.dcm"))


def written(path: Path, target: Path, change: Callable[[Dataset], None]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(target)
    return target


def nested(dataset: Dataset) -> None:
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning = "T-28000", "Lung"
    dataset.AnatomicRegionSequence = [inner]


def in_syntax(uid: str) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        nested(dataset)
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(uid)

    return change


def undefined_lengths(dataset: Dataset) -> None:
    nested(dataset)
    dataset["AnatomicRegionSequence"].is_undefined_length = True


def meta(dataset: Dataset) -> None:
    nested(dataset)
    dataset.file_meta.ImplementationVersionName = "ELSEWHERE"
    dataset.preamble = b"x" * 128


@pytest.mark.parametrize(
    "rewrite",
    [
        in_syntax(ImplicitVRLittleEndian),
        undefined_lengths,
        meta,
    ],
)
def test_what_archives_rewrite_does_not_count(
    rewrite: Callable[[Dataset], None], one: Path, tmp_path: Path
) -> None:
    plain = written(one, tmp_path / "plain.dcm", nested)

    again = written(one, tmp_path / "again.dcm", rewrite)

    assert again.read_bytes() != plain.read_bytes()
    assert content_digest(again) == content_digest(plain)


def test_the_length_of_a_group_does_not_count(one: Path, tmp_path: Path) -> None:
    # pydicom writes none, so the element is put in by hand, before the first of the data set.
    data = one.read_bytes()
    begin = 144 + pydicom.dcmread(one).file_meta.FileMetaInformationGroupLength
    length = b"\x08\x00\x00\x00UL\x04\x00\x90\x01\x00\x00"
    again = tmp_path / "again.dcm"
    again.write_bytes(data[:begin] + length + data[begin:])

    assert 0x00080000 in pydicom.dcmread(again)
    assert content_digest(again) == content_digest(one)


def comment(dataset: Dataset) -> None:
    dataset.ImageComments = "seen"


def no_patient(dataset: Dataset) -> None:
    dataset.PatientID = ""


def pixel(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:-1] + bytes([dataset.PixelData[-1] ^ 1])


@pytest.mark.parametrize("change", [comment, no_patient, pixel, nested])
def test_what_an_instance_says_counts(
    change: Callable[[Dataset], None], one: Path, tmp_path: Path
) -> None:
    other = written(one, tmp_path / "other.dcm", change)

    assert content_digest(other) != content_digest(one)


@given(data=st.binary(max_size=400))
def test_no_bytes_are_without_an_identity(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "identity.bin"
    path.write_bytes(data)

    assert len(content_digest(path)) == 64
