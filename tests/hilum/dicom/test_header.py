from pathlib import Path

from pydicom.dataset import Dataset

from hilum.dicom import header
from hilum.dicom.quiet import quiet
from hilum.dicom.read import read_slice
from tests.phantoms import chest


def test_values_that_are_absent_or_broken_become_none_or_empty() -> None:
    with quiet():
        dataset = Dataset()
        dataset.add_new("PixelSpacing", "DS", "")
        dataset.add_new("ImagePositionPatient", "DS", [1, 2])
        dataset.add_new("InstanceNumber", "LO", "seven")
        dataset.add_new("RescaleSlope", "FD", float("nan"))
        dataset.add_new("RescaleIntercept", "FD", float("inf"))

        assert header.numbers(dataset, "PixelSpacing", count=2) is None
        assert header.numbers(dataset, "ImagePositionPatient", count=3) is None
        assert header.integer(dataset, "InstanceNumber") is None
        assert header.number(dataset, "RescaleSlope") is None
        assert header.number(dataset, "RescaleIntercept") is None
        assert header.text(dataset, "SeriesDescription") == ""
        assert header.uid(dataset, "SOPInstanceUID") == ""


def test_text_holds_no_nul_which_a_database_would_refuse() -> None:
    dataset = Dataset()
    dataset.SeriesDescription = "Chest\x00 5.0"

    assert header.text(dataset, "SeriesDescription") == "Chest 5.0"


def test_file_without_a_preamble_is_read(tmp_path: Path) -> None:
    dataset = chest().datasets()[0]
    del dataset.file_meta
    path = tmp_path / "bare.dcm"
    dataset.save_as(path, enforce_file_format=False, implicit_vr=True, little_endian=True)

    with quiet():
        found = header.read_header(path)

    assert found is not None
    assert found.instance.transfer_syntax_uid == "1.2.840.10008.1.2"
    assert read_slice(path)[0].shape == (192, 192)
