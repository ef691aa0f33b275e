import random
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from hilum.dicom import header
from hilum.dicom.quiet import quiet
from hilum.dicom.read import read_slice, read_study
from hilum.dicom.selection import choose_ct_series
from hilum.errors import HilumError
from tests import phantoms
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


REAL = "the image"
SINGLE = "single_slice"
NO_CT = "no_ct_series"
NO_DICOM = "no_dicom"

ODD_FILES: dict[str, tuple[str, str]] = {
    # name: what reading it as one slice gives, what reading it as a study gives
    "lungmask_2slices/0.dcm": (REAL, SINGLE),
    "pydicom/693_J2KI.dcm": (REAL, SINGLE),
    "pydicom/693_UNCI.dcm": (REAL, SINGLE),
    "pydicom/CT_small.dcm": (REAL, SINGLE),
    "pydicom/explicit_VR-UN.dcm": (REAL, SINGLE),
    "wg04_ct/CT1_J2KR": (REAL, SINGLE),
    "wg04_ct/CT1_JLSN": (REAL, SINGLE),
    "wg04_ct/CT1_RLE": (REAL, SINGLE),
    "wg04_ct/CT2_J2KR": (REAL, SINGLE),
    "wg04_ct/CT2_JLSN": (REAL, SINGLE),
    "wg04_ct/CT2_RLE": (REAL, SINGLE),
    "pydicom/meta_missing_tsyntax.dcm": (NO_DICOM, NO_DICOM),
    "pydicom/nested_priv_SQ.dcm": (NO_DICOM, NO_DICOM),
    "pydicom/no_meta_group_length.dcm": (NO_DICOM, NO_DICOM),
}
"""The odd files that are CT slices or no instances; every other one is an object of another kind."""


def outcome_of_slice(path: Path) -> str:
    try:
        read_slice(path)
    except HilumError as error:
        return error.code
    return REAL


def outcome_of_study(path: Path) -> str:
    try:
        choose_ct_series(read_study(path))
    except HilumError as error:
        return error.code
    return REAL


def test_each_odd_file_has_its_expected_outcome(odd_files: Path) -> None:
    paths = [path for path in sorted(odd_files.rglob("*")) if path.is_file()]

    for path in paths:
        expected = ODD_FILES.get(str(path.relative_to(odd_files)), (NO_CT, NO_CT))
        assert (path.name, outcome_of_slice(path), outcome_of_study(path)) == (
            path.name,
            *expected,
        )


def test_same_image_in_different_encodings_has_the_same_values(odd_files: Path) -> None:
    folder = odd_files / "wg04_ct"

    lossless = [read_slice(folder / name)[0] for name in ("CT1_J2KR", "CT1_RLE")]

    assert (lossless[0] == lossless[1]).all()


@pytest.mark.parametrize("seed", range(3))
def test_mutated_files_end_in_a_value_or_a_named_error(tmp_path: Path, seed: int) -> None:
    phantoms.write(tmp_path, [phantoms.cropped(chest().datasets(), 12)[11]])
    whole = (tmp_path / "0000.dcm").read_bytes()
    dice = random.Random(seed)  # noqa: S311 - a dice, not a key
    path = tmp_path / "mutant.dcm"

    for _ in range(150):
        mutant = bytearray(
            whole[: dice.randrange(1500, len(whole))] if dice.random() < 0.2 else whole
        )
        for _ in range(dice.randrange(1, 12)):
            mutant[dice.randrange(1500)] = dice.randrange(256)
        path.write_bytes(mutant)
        with suppress(HilumError):
            read_slice(path)
        with suppress(HilumError):
            choose_ct_series(read_study(path))
