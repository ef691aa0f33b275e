"""Pixels pass untouched, and an object stays as valid as it was."""

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from hilum.catalogue import CT_LESIONS
from hilum.dicom.deidentify import Deidentifier, Option, deidentify_file
from hilum.dicom.deidentify.deidentifier import encoded
from hilum.dicom.seg import segmentation
from tests.hilum.dicom.deidentify.planted import (
    KEY,
    NAME,
    WORDS,
    as_file,
    left_of,
    named,
    read_back,
    treated,
)
from tests.hilum.dicom.results import analysis_in, errors_in, errors_of
from tests.phantoms import chest, write

BASIC: frozenset[Option] = frozenset()


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_pixels_pass_through_bit_for_bit_in_their_transfer_syntax(syntax: UID) -> None:
    dataset = named()
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    before = dcmread(io.BytesIO(as_file(dataset)))

    after = dcmread(io.BytesIO(treated(before)))

    assert after.file_meta.TransferSyntaxUID == syntax
    assert after.PixelData == before.PixelData
    np.testing.assert_array_equal(after.pixel_array, before.pixel_array)
    for keyword in ("RescaleSlope", "RescaleIntercept", "ImagePositionPatient", "PixelSpacing"):
        assert after[keyword] == before[keyword]


@pytest.mark.parametrize(
    "options",
    [BASIC, {Option.RETAIN_MODIFIED_DATES}, set(Option) - {Option.RETAIN_FULL_DATES}],
    ids=["basic", "dates", "all"],
)
def test_a_ct_stays_a_valid_ct(options: set[Option], tmp_path: Path) -> None:
    deidentifier = Deidentifier(KEY, frozenset(options))

    dataset, _ = deidentifier.deidentify(named())

    assert errors_of(dataset, tmp_path) == []


@pytest.mark.parametrize("options", [BASIC, {Option.RETAIN_MODIFIED_DATES}], ids=["basic", "dates"])
@pytest.mark.parametrize(
    "name",
    [
        "pydicom/CT_small.dcm",
        "pydicom/MR_small_bigendian.dcm",
        "pydicom/RG3_J2KR.dcm",
        "pydicom/eCT_Supplemental.dcm",
        "wg04_ct/CT1_RLE",
        "wg04_ct/CT2_J2KR",
    ],
)
def test_no_image_is_less_valid_than_it_was(
    name: str, options: set[Option], odd_files: Path, tmp_path: Path
) -> None:
    written = deidentify_file(odd_files / name, Deidentifier(KEY, frozenset(options)))
    after = tmp_path / "after.dcm"
    after.write_bytes(written.data)

    assert set(errors_in(after)) <= set(errors_in(odd_files / name))
    assert dcmread(after).PixelData == dcmread(odd_files / name).PixelData


def test_a_segmentation_of_ours_stays_a_valid_one(tmp_path: Path) -> None:
    phantom = chest()
    analysis = analysis_in(write(tmp_path / "ct", [named(number) for number in range(24)]), phantom)
    dataset = read_back(segmentation(analysis, CT_LESIONS.labels))
    assert dataset.PatientName == NAME

    after, _ = Deidentifier(KEY).deidentify(dataset)

    assert errors_of(after, tmp_path) == []
    assert left_of(WORDS, encoded(after)) == []
    assert [one.SegmentLabel for one in after.SegmentSequence] == [
        one.SegmentLabel for one in dataset.SegmentSequence
    ]


def test_an_implicit_object_from_a_file_stays_what_it_was() -> None:
    dataset = named()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.SmallestImagePixelValue = 7
    dataset.PixelPaddingValue = 63536

    after = dcmread(io.BytesIO(treated(read_back(dataset))))

    assert after.SmallestImagePixelValue == 7
    assert after.PixelPaddingValue == 63536
