from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel import orientations
from numpy.typing import NDArray

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import WINDOW_HU
from hilum.training.layouts import read_examples
from hilum.volume import apply_window
from tests.hilum.training.layouts.conftest import Marked, assert_same


def _write(
    path: Path, voxels: NDArray[np.generic], marked: Marked, *, axes: str, header: str | None = None
) -> None:
    """Write [z, y, x] as an array along these axes, under a header that may say others."""
    z_mm, y_mm, x_mm = marked.phantom.volume.spacing_mm
    lps = np.diag([-x_mm, -y_mm, z_mm, 1.0])
    upright = nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose(2, 1, 0)), lps)
    turn = orientations.ornt_transform(
        orientations.axcodes2ornt(tuple("LPS")), orientations.axcodes2ornt(tuple(axes))
    )
    image = upright.as_reoriented(turn)
    if header == "":
        zooms = image.header.get_zooms()
        image = nibabel.Nifti1Image(image.dataobj, None)
        image.header.set_zooms(zooms)
    elif header:
        signs = [1 if axis in "RAS" else -1 for axis in header]
        image = nibabel.Nifti1Image(image.dataobj, np.diag([*signs, 1]) * image.affine.__abs__())
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


@pytest.mark.parametrize("axes", ["LPS", "RAS", "LAS", "RPI", "PLS", "SRA"])
def test_a_volume_of_ones_own_is_turned_by_its_header(
    marked: Marked, tmp_path: Path, axes: str
) -> None:
    _write(tmp_path / "case7.nii.gz", marked.phantom.voxels, marked, axes=axes)
    _write(tmp_path / "case7_mask.nii.gz", marked.labels, marked, axes="LAS")

    found = read_examples(tmp_path)

    assert_same(found, marked)
    assert found[0].name.startswith("case7_0")


@pytest.mark.parametrize(
    ("volume", "mask", "axes", "name"),
    [
        ("COVID-19-CT-Seg_20cases/coronacases_001.nii.gz",
         "Infection_Mask/coronacases_001.nii.gz", "LAS", "coronacases_001"),
        ("COVID-19-CT-Seg_20cases/radiopaedia_10_85902_1.nii.gz",
         "Infection_Mask/radiopaedia_10_85902_1.nii.gz", "LPS", "radiopaedia_10_85902_1"),
        ("ct_scans/radiopaedia_org_covid-19-pneumonia-10_85902_1-dcm.nii",
         "infection_mask/radiopaedia_10_85902_1.nii", "LPS",
         "radiopaedia_org_covid-19-pneumonia-10_85902_1-dcm"),
        ("ct_scans/coronacases_org_001.nii", "infection_mask/coronacases_001.nii", "LAS",
         "coronacases_org_001"),
        ("studies/CT-1/study_0255.nii.gz", "masks/study_0255_mask.nii.gz", "LAS", "study_0255"),
    ],
)  # fmt: skip
def test_a_published_volume_whose_header_says_nothing_is_turned_as_the_table_says(
    marked: Marked, tmp_path: Path, volume: str, mask: str, axes: str, name: str
) -> None:
    # The arrays are written along the axes that the table names: this holds that each name finds
    # its entry and that masks go along. Only the published files can tell that an entry is right.
    _write(tmp_path / volume, marked.phantom.voxels, marked, axes=axes, header="RAS")
    _write(tmp_path / mask, marked.labels, marked, axes=axes, header="")

    found = read_examples(tmp_path)

    assert_same(found, marked)
    assert found[0].name.rpartition("_")[0] == name


@pytest.mark.parametrize("name", ["study_7", "study_02551", "coronacases_of_ours", "study_0255"])
def test_a_header_that_says_how_a_volume_lies_is_believed_whatever_its_name(
    marked: Marked, tmp_path: Path, name: str
) -> None:
    _write(tmp_path / f"{name}.nii.gz", marked.phantom.voxels, marked, axes="LPS")
    _write(tmp_path / f"{name}_mask.nii.gz", marked.labels, marked, axes="LPS")

    assert_same(read_examples(tmp_path), marked)


def test_an_identity_is_believed_of_volumes_of_ones_own(marked: Marked, tmp_path: Path) -> None:
    _write(tmp_path / "study_7.nii.gz", marked.phantom.voxels, marked, axes="RAS")
    _write(tmp_path / "study_7_mask.nii.gz", marked.labels, marked, axes="RAS")

    assert_same(read_examples(tmp_path), marked)


def test_a_volume_of_ones_own_without_orientation_is_refused(
    marked: Marked, tmp_path: Path
) -> None:
    _write(tmp_path / "a.nii.gz", marked.phantom.voxels, marked, axes="LPS", header="")
    _write(tmp_path / "a_mask.nii.gz", marked.labels, marked, axes="LPS")

    with pytest.raises(ConfigurationError, match=r"a.nii.gz: a header without orientation"):
        read_examples(tmp_path)


def test_a_mask_that_lies_elsewhere_is_refused(marked: Marked, tmp_path: Path) -> None:
    _write(tmp_path / "a.nii.gz", marked.phantom.voxels, marked, axes="LPS")
    _write(tmp_path / "a_mask.nii.gz", marked.labels, marked, axes="LPS", header="RAS")

    with pytest.raises(ConfigurationError, match=r"a_mask.*affine differs from that of a.nii.gz"):
        read_examples(tmp_path)


def test_medseg_slices_are_cropped_each_for_itself_and_lose_effusions(
    marked: Marked, tmp_path: Path
) -> None:
    middle = len(marked.labels) // 2
    chosen = [middle - 1, middle]
    labels = marked.labels.copy()
    labels[middle, -20:-10, 5:15] = 3
    for name, voxels in (("tr_im", marked.phantom.voxels), ("tr_mask", labels)):
        _write(tmp_path / f"{name}.nii.gz", voxels[chosen], marked, axes="LPS", header="RAS")

    lower, upper = read_examples(tmp_path)

    assert (lower.name, upper.name) == ("tr_im_000", "tr_im_001")
    assert (lower.labels == 2).sum() == (upper.labels == 2).sum() == 36
    assert (upper.labels == 1).sum() == 24
    for example in (lower, upper):
        rows, columns = np.nonzero(example.labels)
        height, width = example.labels.shape
        assert rows.mean() < height / 2, "anterior is up"
        assert columns.mean() < width / 2, "the patient's right is at the left"


def test_a_volume_of_gray_levels_is_read_in_the_window_it_was_made_with(
    marked: Marked, tmp_path: Path
) -> None:
    gray = np.rint(apply_window(marked.phantom.voxels, WINDOW_HU) * 255).astype(np.uint8)
    _write(tmp_path / "radiopaedia_1.nii.gz", gray, marked, axes="LPS")
    _write(tmp_path / "radiopaedia_1_mask.nii.gz", marked.labels, marked, axes="LPS")

    assert_same(read_examples(tmp_path), marked, tolerance=0.5 / 255 + 1 / 1500)


def test_a_mask_in_white_is_ground_glass(marked: Marked, tmp_path: Path) -> None:
    white = (marked.labels > 0).astype(np.uint8) * 255
    _write(tmp_path / "a.nii.gz", marked.phantom.voxels, marked, axes="RAS")
    _write(tmp_path / "a_mask.nii.gz", white, marked, axes="RAS")

    found = read_examples(tmp_path)

    assert {int(one.labels.max()) for one in found} == {0, 1}


def test_a_mask_of_another_grid_is_refused(marked: Marked, tmp_path: Path) -> None:
    _write(tmp_path / "a.nii.gz", marked.phantom.voxels, marked, axes="RAS")
    _write(tmp_path / "a_mask.nii.gz", marked.labels[1:], marked, axes="RAS")

    with pytest.raises(ConfigurationError, match=r"a_mask.*\(23, 192, 192\) voxels .* \(24, 192"):
        read_examples(tmp_path)


def test_a_mask_of_other_classes_is_refused(marked: Marked, tmp_path: Path) -> None:
    _write(tmp_path / "a.nii.gz", marked.phantom.voxels, marked, axes="RAS")
    _write(tmp_path / "a_mask.nii.gz", marked.labels * 3, marked, axes="RAS")

    with pytest.raises(ConfigurationError, match="classes 0 to 6, expected 0 to 3, or 0 and 255"):
        read_examples(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda hu: (hu + 1000) / 4000, "voxels of 0 to 0.*expected Hounsfield units"),
        (lambda hu: hu + 1024, r"a.nii.gz: voxels of 24 to \d+, expected Hounsfield units"),
        (lambda hu: np.where(hu > 0, np.nan, hu), "voxels without a number"),
    ],
)
def test_voxels_that_are_neither_hounsfield_nor_gray_are_refused(
    marked: Marked,
    tmp_path: Path,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    complaint: str,
) -> None:
    hu = np.maximum(marked.phantom.voxels, -1000).astype(np.float32)
    _write(tmp_path / "a.nii.gz", change(hu).astype(np.float32), marked, axes="RAS")
    _write(tmp_path / "a_mask.nii.gz", marked.labels, marked, axes="RAS")

    with pytest.raises(ConfigurationError, match=complaint):
        read_examples(tmp_path)


@pytest.mark.parametrize("broken", ["a.nii.gz", "a_mask.nii.gz"])
@pytest.mark.parametrize("kept", [0, 5, 3000])
def test_a_file_cut_short_is_refused(
    marked: Marked, tmp_path: Path, broken: str, kept: int
) -> None:
    _write(tmp_path / "a.nii.gz", marked.phantom.voxels, marked, axes="RAS")
    _write(tmp_path / "a_mask.nii.gz", marked.labels, marked, axes="RAS")
    path = tmp_path / broken
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(ConfigurationError, match=f"{broken}: not a readable NIfTI volume"):
        read_examples(tmp_path)


def test_a_file_of_something_else_is_refused(marked: Marked, tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"no NIfTI, but long enough to have a header. " * 20)
    _write(tmp_path / "a_mask.nii.gz", marked.labels, marked, axes="RAS")

    with pytest.raises(ConfigurationError, match=r"a.nii: not a readable NIfTI volume"):
        read_examples(tmp_path)


def test_patients_may_have_a_folder_each_and_one_name_for_all(
    marked: Marked, tmp_path: Path
) -> None:
    for patient in ("p1", "p2"):
        _write(tmp_path / patient / "ct.nii.gz", marked.phantom.voxels, marked, axes="LPS")
    other = np.flip(marked.labels, 2)
    _write(tmp_path / "p1" / "ct_mask.nii.gz", marked.labels, marked, axes="LPS")
    _write(tmp_path / "p2" / "ct_mask.nii.gz", other, marked, axes="LPS")

    examples = read_examples(tmp_path)

    first = [one for one in examples if one.name.startswith("p1-ct_")]
    second = [one for one in examples if one.name.startswith("p2-ct_")]
    assert_same(first, marked)
    assert len(first) + len(second) == len(examples)
    assert sum(int(one.labels.sum()) for one in second) == int(other.sum())
