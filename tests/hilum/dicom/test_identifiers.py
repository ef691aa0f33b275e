from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from hilum.dicom import identifiers
from hilum.dicom.identifiers import HEAD, Identifiers, read_identifiers
from tests.phantoms import chest


@pytest.fixture
def dataset() -> Dataset:
    return chest().datasets()[0]


def written(dataset: Dataset, folder: Path) -> Path:
    path = folder / "one.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def said_by(dataset: Dataset) -> Identifiers:
    return Identifiers(
        dataset.StudyInstanceUID,
        dataset.SeriesInstanceUID,
        dataset.SOPInstanceUID,
        dataset.SOPClassUID,
    )


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_usual_header_is_not_parsed(
    dataset: Dataset, syntax: UID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if syntax.is_compressed:
        dataset.compress(syntax, generate_instance_uid=False)
    path = written(dataset, tmp_path)
    monkeypatch.delattr(identifiers, "_parsed")

    assert read_identifiers(path) == said_by(dataset)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_other_encodings_are_parsed(dataset: Dataset, syntax: UID, tmp_path: Path) -> None:
    dataset.file_meta.TransferSyntaxUID = syntax

    assert read_identifiers(written(dataset, tmp_path)) == said_by(dataset)


def test_header_longer_than_what_is_looked_at_is_parsed(dataset: Dataset, tmp_path: Path) -> None:
    dataset.ImageComments = "x" * 100
    dataset.add_new(0x00091010, "OB", bytes(2 * HEAD))

    assert read_identifiers(written(dataset, tmp_path)) == said_by(dataset)


def test_header_that_ends_without_pixels_is_an_instance(dataset: Dataset, tmp_path: Path) -> None:
    del dataset.PixelData

    assert read_identifiers(written(dataset, tmp_path)) == said_by(dataset)


def test_sequence_of_unknown_length_is_parsed(dataset: Dataset, tmp_path: Path) -> None:
    dataset.ReferencedImageSequence = [Dataset()]
    dataset["ReferencedImageSequence"].is_undefined_length = True

    assert read_identifiers(written(dataset, tmp_path)) == said_by(dataset)


def test_character_set_that_no_parser_takes_is_no_instance(
    dataset: Dataset, tmp_path: Path
) -> None:
    path = written(dataset, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 192", b"\x00SO_IR 192"))

    assert read_identifiers(path) is None


def test_instance_without_a_study_is_none(dataset: Dataset, tmp_path: Path) -> None:
    del dataset.StudyInstanceUID

    assert read_identifiers(written(dataset, tmp_path)) is None


@pytest.mark.parametrize("junk", [b"", b"DICM", bytes(132), bytes(128) + b"DICM", bytes(HEAD + 1)])
def test_junk_is_no_instance(junk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "junk"
    path.write_bytes(junk)

    assert read_identifiers(path) is None
