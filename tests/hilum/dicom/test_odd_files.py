"""Every odd file that was ever collected, and what becomes of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hilum.dicom.quality import score_series
from hilum.dicom.read import read_slice, read_study, read_volume
from hilum.dicom.selection import choose_ct_series
from hilum.errors import HilumError


@dataclass(frozen=True)
class Image:
    """Rows and columns of a slice that is read, and its lowest and highest Hounsfield unit."""

    rows: int
    columns: int
    low: int
    high: int


NO_CT = "no_ct_series"
NO_DICOM = "no_dicom"
NO_HU = "missing_rescale"
SINGLE = "single_slice"

ODD_FILES: dict[str, tuple[Image | str, str]] = {
    # name: (what reading it as one slice gives, what keeps it from being a volume)
    "lungmask_2slices/0.dcm": (Image(512, 512, -1024, 1502), SINGLE),
    "pydicom/693_J2KI.dcm": (Image(512, 512, -1024, 1812), SINGLE),
    "pydicom/693_UNCI.dcm": (Image(512, 512, -1024, 1812), SINGLE),
    "pydicom/CT_small.dcm": (Image(128, 128, -896, 1167), SINGLE),
    "pydicom/ExplVR_BigEndNoMeta.dcm": (NO_CT, NO_CT),
    "pydicom/JPEG-LL.dcm": (NO_CT, NO_CT),
    "pydicom/JPEG2000.dcm": (NO_CT, NO_CT),
    "pydicom/JPGLosslessP14SV1_1s_1f_8b.dcm": (NO_CT, NO_CT),
    "pydicom/MR2_J2KI.dcm": (NO_CT, NO_CT),
    "pydicom/MR2_UNCI.dcm": (NO_CT, NO_CT),
    "pydicom/MR_small.dcm": (NO_CT, NO_CT),
    "pydicom/MR_small_bigendian.dcm": (NO_CT, NO_CT),
    "pydicom/MR_small_implicit.dcm": (NO_CT, NO_CT),
    "pydicom/MR_small_jpeg_ls_lossless.dcm": (NO_CT, NO_CT),
    "pydicom/MR_truncated.dcm": (NO_CT, NO_CT),
    "pydicom/OBXXXX1A_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/OBXXXX1A_expb_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/OBXXXX1A_rle_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/RG1_J2KI.dcm": (NO_CT, NO_CT),
    "pydicom/RG3_J2KR.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_16bit.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_32bit_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_dcmtk_+eb+cy+n1.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_dcmtk_+eb+cy+np.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_dcmtk_+eb+cy+s4.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_dcmtk_ebcyn1_dcmd.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_dcmtk_ebcynp_dcmd.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_dcmtk_ebcys4_dcmd.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_expb_16bit.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_expb_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_expb_32bit_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_gdcm_KY.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_jpeg_gdcm.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_rle.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_rle_16bit_2frame.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_rle_32bit.dcm": (NO_CT, NO_CT),
    "pydicom/SC_rgb_small_odd.dcm": (NO_CT, NO_CT),
    "pydicom/SC_ybr_full_422_uncompressed.dcm": (NO_CT, NO_CT),
    "pydicom/US1_J2KI.dcm": (NO_CT, NO_CT),
    "pydicom/US1_UNCI.dcm": (NO_CT, NO_CT),
    "pydicom/badVR.dcm": (NO_CT, NO_CT),
    "pydicom/color-pl.dcm": (NO_CT, NO_CT),
    "pydicom/eCT_Supplemental.dcm": (NO_CT, NO_HU),
    "pydicom/emri_small.dcm": (NO_CT, NO_CT),
    "pydicom/emri_small_big_endian.dcm": (NO_CT, NO_CT),
    "pydicom/emri_small_jpeg_2k_lossless_too_short.dcm": (NO_CT, NO_CT),
    "pydicom/explicit_VR-UN.dcm": (Image(512, 512, -1024, 1186), SINGLE),
    "pydicom/gdcm-US-ALOKA-16_big.dcm": (NO_CT, NO_CT),
    "pydicom/liver.dcm": (NO_CT, NO_CT),
    "pydicom/liver_expb.dcm": (NO_CT, NO_CT),
    "pydicom/meta_missing_tsyntax.dcm": (NO_DICOM, NO_DICOM),
    "pydicom/nested_priv_SQ.dcm": (NO_DICOM, NO_DICOM),
    "pydicom/no_meta_group_length.dcm": (NO_DICOM, NO_DICOM),
    "pydicom/reportsi.dcm": (NO_CT, NO_CT),
    "pydicom/rtdose.dcm": (NO_CT, NO_CT),
    "pydicom/rtdose_expb.dcm": (NO_CT, NO_CT),
    "pydicom/rtdose_rle.dcm": (NO_CT, NO_CT),
    "pydicom/rtplan.dcm": (NO_CT, NO_CT),
    "pydicom/rtstruct.dcm": (NO_CT, NO_CT),
    "pydicom/vlut_04.dcm": (NO_CT, NO_CT),
    "wg04_ct/CT1_J2KR": (Image(512, 512, -1024, 1254), SINGLE),
    "wg04_ct/CT1_JLSN": (Image(512, 512, -1024, 1254), SINGLE),
    "wg04_ct/CT1_RLE": (Image(512, 512, -1024, 1254), SINGLE),
    "wg04_ct/CT2_J2KR": (Image(512, 512, -1024, 1433), SINGLE),
    "wg04_ct/CT2_JLSN": (Image(512, 512, -1024, 1434), SINGLE),
    "wg04_ct/CT2_RLE": (Image(512, 512, -1024, 1433), SINGLE),
}
"""All files of the archive; the enhanced one shows blood flow, whose numbers are no densities."""


def slice_of(path: Path) -> Image | str:
    try:
        hu, _ = read_slice(path)
    except HilumError as error:
        return error.code
    return Image(*hu.shape, int(hu.min()), int(hu.max()))


def refusal_of(path: Path) -> str:
    """Go the way of a job, and return the code of what ends it."""
    try:
        read_volume(choose_ct_series(read_study(path)).series)
    except HilumError as error:
        return error.code
    return ""


def codes_of(path: Path) -> list[str | None]:
    """Return what the sheets of a file say, which are made of headers alone."""
    try:
        return [sheet.code for sheet in score_series(read_study(path))]
    except HilumError:
        return []


def test_the_table_names_every_file_and_no_other(odd_files: Path) -> None:
    found = {str(path.relative_to(odd_files)) for path in odd_files.rglob("*") if path.is_file()}

    assert found == set(ODD_FILES)


@pytest.mark.parametrize("name", ODD_FILES)
def test_each_odd_file_has_its_expected_outcome(name: str, odd_files: Path) -> None:
    path = odd_files / name

    of_slice, of_study = ODD_FILES[name]
    assert (slice_of(path), refusal_of(path)) == (of_slice, of_study)
    assert codes_of(path) == ([] if of_study == NO_DICOM else [of_study])


def test_all_odd_files_in_one_upload_are_more_than_one_study(odd_files: Path) -> None:
    assert refusal_of(odd_files) == "mixed_studies"


def test_one_odd_slice_copied_is_still_one_slice(odd_files: Path, tmp_path: Path) -> None:
    for number in range(4):
        shutil.copy(odd_files / "pydicom/693_J2KI.dcm", tmp_path / f"{number}.dcm")

    assert refusal_of(tmp_path) == SINGLE


def test_same_image_in_different_encodings_has_the_same_values(odd_files: Path) -> None:
    folder = odd_files / "wg04_ct"

    lossless = [read_slice(folder / name)[0] for name in ("CT1_J2KR", "CT1_RLE")]

    np.testing.assert_array_equal(*lossless)
