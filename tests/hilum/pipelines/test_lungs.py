"""The lungs are found by the shape of the chest, and doubted where they cannot be."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom import Phantom, make_phantom
from hilum.pipelines.lungs import find_lungs
from hilum.volume import Volume
from tests.analyses import volume_of
from tests.phantoms import chest, healthy


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


@pytest.mark.parametrize("phantom", [healthy(), chest()], ids=["healthy", "ill"])
def test_both_lungs_of_a_phantom_are_found_each_on_its_side(phantom: Phantom) -> None:
    found = find_lungs(volume_of(phantom)).mask

    for side in (RIGHT_LUNG, LEFT_LUNG):
        assert dice(found == side, phantom.lungs == side) > 0.95


def test_lesions_belong_to_the_lung() -> None:
    phantom = chest()

    found = find_lungs(volume_of(phantom)).mask

    lesion = phantom.lesions > 0
    assert np.count_nonzero(found[lesion]) > 0.95 * np.count_nonzero(lesion)


def test_a_mirrored_patient_keeps_right_and_left() -> None:
    phantom = healthy()
    affine = phantom.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (phantom.voxels.shape[2] - 1)
    affine[:3, 2] *= -1
    mirrored = Volume(np.ascontiguousarray(phantom.voxels[:, :, ::-1]), affine, ())

    found = find_lungs(mirrored).mask[:, :, ::-1]

    assert dice(found == RIGHT_LUNG, phantom.lungs == RIGHT_LUNG) > 0.95


def test_a_chest_without_lungs_has_none_and_is_doubted() -> None:
    phantom = healthy()
    solid = np.where(phantom.lungs > 0, np.int16(40), phantom.voxels)

    lungs = find_lungs(Volume(solid, phantom.affine, ()))

    assert np.count_nonzero(lungs.mask) < 0.02 * np.count_nonzero(phantom.lungs)
    assert lungs.doubts


def test_a_lung_that_is_missing_is_doubted_by_name() -> None:
    phantom = healthy()
    solid = np.where(phantom.lungs == LEFT_LUNG, np.int16(40), phantom.voxels)

    doubts = find_lungs(Volume(solid, phantom.affine, ())).doubts

    assert any("left lung measures" in doubt for doubt in doubts)
    assert any("smaller lung" in doubt for doubt in doubts)


def test_gas_in_the_bowel_is_no_lung() -> None:
    phantom = make_phantom(slices=24, size_px=192, lesions=(), bowel_gas=True)

    found = find_lungs(volume_of(phantom)).mask

    assert dice(found > 0, phantom.lungs > 0) > 0.95


def test_air_alone_is_no_lung() -> None:
    nothing = Volume(np.full((8, 64, 64), -1000, np.int16), np.diag([5, 2, 2, 1.0]), ())

    assert not find_lungs(nothing).mask.any()


def test_the_lungs_of_a_real_volume_match_a_persons(shared_data: Path) -> None:
    image = nibabel.load(shared_data / "ct-lungs/id002-128x128x64.nii.gz")
    truth = nibabel.load(shared_data / "ct-lungs/id002-128x128x64-msk.nii.gz")
    affine = np.diag([-1, -1, 1, 1]) @ image.affine[:, [2, 1, 0, 3]]
    # Its rows run from back to front; ours run from front to back.
    affine[:3, 1] *= -1
    voxels = image.get_fdata().transpose(2, 1, 0)[:, ::-1].clip(-1024, 3071)

    found = find_lungs(Volume(voxels.astype(np.int16), affine, ())).mask

    expected = truth.get_fdata().transpose(2, 1, 0)[:, ::-1] > 127
    assert dice(found > 0, expected) > 0.95
