from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel import orientations
from numpy.typing import NDArray

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import WINDOW_HU
from hilum.training.layouts import read_examples
from hilum.training.layouts.nifti import pairs
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
    if header:
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
def test_a_published_volume_is_turned_as_its_set_stores_it(
    marked: Marked, tmp_path: Path, volume: str, mask: str, axes: str, name: str
) -> None:
    _write(tmp_path / volume, marked.phantom.voxels, marked, axes=axes, header="RAS")
    _write(tmp_path / mask, marked.labels, marked, axes=axes, header="RAS")

    found = read_examples(tmp_path)

    assert_same(found, marked)
    assert found[0].name.rpartition("_")[0] == name


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


def test_volumes_without_masks_and_masks_of_lungs_are_passed_over(tmp_path: Path) -> None:
    for name in (
        "studies/CT-1/study_0255.nii.gz",
        "studies/CT-0/study_0001.nii.gz",
        "masks/study_0255_mask.nii.gz",
        "Lung_Mask/study_0001.nii.gz",
        "Lung_and_Infection_Mask/study_0255.nii.gz",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    (pair,) = pairs(tmp_path)

    assert pair.volume.name == "study_0255.nii.gz"
    assert pair.mask.name == "study_0255_mask.nii.gz"


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
