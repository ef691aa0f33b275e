from pathlib import Path

import pytest

from hilum.errors import ConfigurationError
from hilum.training.layouts.pairs import pairs


def _found(folder: Path, *names: str) -> dict[str, tuple[str, str]]:
    """Touch files and return, by name, the volume and the mask of each pair."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return {
        one.name: (str(one.volume.relative_to(folder)), str(one.mask.relative_to(folder)))
        for one in pairs(folder)
    }


def test_volumes_without_masks_and_masks_of_lungs_are_passed_over(tmp_path: Path) -> None:
    found = _found(
        tmp_path,
        "studies/CT-1/study_0255.nii.gz",
        "studies/CT-0/study_0001.nii.gz",
        "masks/study_0255_mask.nii.gz",
        "Lung_Mask/study_0001.nii.gz",
        "Lung_and_Infection_Mask/study_0255.nii.gz",
    )

    assert found == {
        "study_0255": ("studies/CT-1/study_0255.nii.gz", "masks/study_0255_mask.nii.gz")
    }


def test_a_mask_belongs_to_the_volume_of_its_own_folder(tmp_path: Path) -> None:
    found = _found(
        tmp_path,
        *("p1/ct.nii.gz", "p1/ct_mask.nii.gz", "p2/ct.nii.gz", "p2/ct_mask.nii.gz"),
        "p3/ct.nii.gz",
    )

    assert found == {
        "p1-ct": ("p1/ct.nii.gz", "p1/ct_mask.nii.gz"),
        "p2-ct": ("p2/ct.nii.gz", "p2/ct_mask.nii.gz"),
    }


def test_folders_of_masks_belong_to_the_patient_they_lie_in(tmp_path: Path) -> None:
    found = _found(
        tmp_path,
        *("p1/images/ct.nii", "p1/masks/ct.nii", "p2/images/ct.nii", "p2/masks/ct.nii"),
    )

    assert found["p1-images-ct"] == ("p1/images/ct.nii", "p1/masks/ct.nii")
    assert found["p2-images-ct"] == ("p2/images/ct.nii", "p2/masks/ct.nii")


def test_a_volume_called_after_the_lung_may_have_a_mask(tmp_path: Path) -> None:
    found = _found(tmp_path, "lung_001.nii.gz", "lung_001_mask.nii.gz")

    assert found == {"lung_001": ("lung_001.nii.gz", "lung_001_mask.nii.gz")}


def test_a_mask_of_lungs_beside_one_of_lesions_is_passed_over(tmp_path: Path) -> None:
    found = _found(tmp_path, "a.nii.gz", "a_lung_mask.nii.gz", "a_mask.nii.gz")

    assert found == {"a": ("a.nii.gz", "a_mask.nii.gz")}


def test_a_mask_beside_its_volume_goes_before_one_elsewhere(tmp_path: Path) -> None:
    found = _found(tmp_path, "p/a.nii.gz", "p/a_mask.nii.gz", "masks/a.nii.gz")

    assert found == {"a": ("p/a.nii.gz", "p/a_mask.nii.gz")}


def test_two_masks_of_one_volume_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"a_mask.nii.gz could both be its mask"):
        _found(tmp_path, "a.nii.gz", "a_mask.nii", "a_mask.nii.gz")


def test_two_volumes_of_one_mask_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"y/a.nii could both be its volume, expected one"):
        _found(tmp_path, "x/a.nii", "y/a.nii", "masks/a.nii")
