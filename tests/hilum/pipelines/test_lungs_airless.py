"""A lobe without air stays inside its lung, and what is inferred is never passed over in silence."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from hilum.dicom.read import read_study, read_volume
from hilum.dicom.selection import choose_ct_series
from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom import Effusion, Lobe, Phantom, make_phantom
from hilum.pipelines.lungs import Lungs, find_lungs
from hilum.volume import Volume
from tests.analyses import volume_of
from tests.archives import unpacked
from tests.phantoms import airless, chest, effused, healthy

SIDES = {"right": RIGHT_LUNG, "left": LEFT_LUNG}


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def inferred(lungs: Lungs) -> list[str]:
    return [doubt for doubt in lungs.doubts if "shows no air and was inferred" in doubt]


@pytest.mark.parametrize(
    "lobes",
    [
        ("right lower",),
        ("left lower",),
        ("right upper",),
        ("left upper",),
        ("right lower", "left lower"),
    ],
)
def test_lobes_without_air_stay_inside_their_lungs(lobes: tuple[Lobe, ...]) -> None:
    phantom = airless(*lobes)

    found = find_lungs(volume_of(phantom)).mask

    for side in SIDES.values():
        assert dice(found == side, phantom.lungs == side) > 0.95
    lobe = phantom.lesions > 0
    assert np.count_nonzero(found[lobe]) > 0.84 * np.count_nonzero(lobe)


@pytest.mark.parametrize("lobe", ["right lower", "left lower", "right upper", "left upper"])
def test_another_chest_with_a_lobe_without_air_is_found_nearly_as_well(lobe: Lobe) -> None:
    phantom = airless(lobe, seed=1)

    found = find_lungs(volume_of(phantom)).mask

    for side in SIDES.values():
        assert dice(found == side, phantom.lungs == side) > 0.93


def test_a_lobe_as_dense_as_the_liver_is_found_by_its_place() -> None:
    phantom = airless("right lower")
    lobe = (phantom.lesions > 0) & (phantom.voxels > -150)
    voxels = phantom.voxels + np.where(lobe, 20, 0).astype(np.int16)

    found = find_lungs(Volume(voxels, phantom.affine, ())).mask

    assert dice(found == RIGHT_LUNG, phantom.lungs == RIGHT_LUNG) > 0.93


def test_thin_slices_hold_a_lobe_without_air_as_well() -> None:
    phantom = make_phantom(slices=110, size_px=128, lesions=(), consolidated_lobe=True)

    found = find_lungs(volume_of(phantom)).mask

    assert dice(found == RIGHT_LUNG, phantom.lungs == RIGHT_LUNG) > 0.94


def test_a_mirrored_patient_keeps_the_lobe_on_its_side() -> None:
    phantom = airless("right lower")
    affine = phantom.affine.copy()
    affine[:3, 3] += affine[:3, 2] * (phantom.voxels.shape[2] - 1)
    affine[:3, 2] *= -1
    mirrored = Volume(np.ascontiguousarray(phantom.voxels[:, :, ::-1]), affine, ())

    found = find_lungs(mirrored).mask[:, :, ::-1]

    assert dice(found == RIGHT_LUNG, phantom.lungs == RIGHT_LUNG) > 0.95


def test_lobes_beside_bowel_gas_take_none_of_it() -> None:
    phantom = make_phantom(
        slices=24, size_px=192, lesions=(), airless=("right lower",), bowel_gas=True
    )

    found = find_lungs(volume_of(phantom)).mask

    assert dice(found > 0, phantom.lungs > 0) > 0.95


@pytest.mark.parametrize("lobe", ["right lower", "left upper"])
def test_what_is_inferred_is_doubted_with_its_share_and_density(lobe: Lobe) -> None:
    (doubt,) = inferred(find_lungs(volume_of(airless(lobe))))

    assert lobe.split()[0] in doubt
    assert "% of the" in doubt
    assert "median 35 HU" in doubt


def test_both_lower_lobes_without_air_are_doubted_each() -> None:
    doubts = inferred(find_lungs(volume_of(airless("right lower", "left lower"))))

    assert len(doubts) == 2


@pytest.mark.parametrize("effusion", [Effusion("right", 900.0), Effusion("left", 500.0)])
def test_fluid_beside_a_lung_is_doubted_never_lung_in_silence(effusion: Effusion) -> None:
    lungs = find_lungs(volume_of(effused(effusion)))

    (doubt,) = inferred(lungs)
    assert f"of the {effusion.lung} lung" in doubt
    assert "fluid beside the lung" in doubt


@pytest.mark.parametrize("phantom", [healthy(), chest()], ids=["healthy", "ill"])
def test_nothing_is_inferred_where_the_lungs_hold_air(phantom: Phantom) -> None:
    assert not inferred(find_lungs(volume_of(phantom)))


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_lung_that_is_missing_is_not_made_up(side: str) -> None:
    phantom = healthy()
    solid = np.where(phantom.lungs == SIDES[side], np.int16(40), phantom.voxels)

    lungs = find_lungs(Volume(solid, phantom.affine, ()))

    other = phantom.lungs == SIDES["left" if side == "right" else "right"]
    assert np.count_nonzero(lungs.mask == SIDES[side]) < 0.02 * np.count_nonzero(other)
    assert any(f"{side} lung measures" in doubt for doubt in lungs.doubts)


@pytest.mark.parametrize(("slices", "slice_mm"), [(3, 1.0), (5, 0.625), (30, 1.0)])
def test_nothing_is_inferred_from_a_slab_of_a_chest(slices: int, slice_mm: float) -> None:
    whole = volume_of(healthy())
    middle = len(whole.voxels) // 2
    affine = whole.affine.copy()
    affine[:3, 0] *= slice_mm / whole.spacing_mm[0]
    slab = np.repeat(whole.voxels[middle : middle + 1], slices, axis=0)

    found = find_lungs(Volume(slab, affine, ("",) * slices))

    assert not any("inferred" in sentence for sentence in found.doubts)
    assert len(found.mask) == slices


def test_a_chest_without_bones_is_left_as_it_was_found() -> None:
    phantom = airless("right lower")
    boneless = np.minimum(phantom.voxels, np.int16(60))

    lungs = find_lungs(Volume(boneless, phantom.affine, ()))

    assert not inferred(lungs)
    assert any("smaller lung" in doubt for doubt in lungs.doubts)


def test_organs_under_a_raised_diaphragm_are_not_taken_for_lung(shared_data: Path) -> None:
    image = nibabel.load(shared_data / "ct-lungs/id002-128x128x64.nii.gz")
    affine = np.diag([-1, -1, 1, 1]) @ image.affine[:, [2, 1, 0, 3]]
    # Its rows run from back to front; ours run from front to back.
    affine[:3, 1] *= -1
    voxels = image.get_fdata().transpose(2, 1, 0)[:, ::-1].clip(-1024, 3071)

    lungs = find_lungs(Volume(voxels.astype(np.int16), affine, ()))

    assert not inferred(lungs)


def test_a_real_chest_with_a_tumour_needs_no_inference(shared_data: Path, tmp_path: Path) -> None:
    folder = unpacked(shared_data / "dicom-studies.tar.xz", tmp_path)
    study = read_study(folder / "dicom-studies/lung-dx-A0001")
    volume = read_volume(choose_ct_series(study).series)

    lungs = find_lungs(volume)

    millilitres = [np.count_nonzero(lungs.mask == side) * volume.voxel_ml for side in (1, 2)]
    assert millilitres == pytest.approx([3273, 2416], rel=0.01)
    assert not lungs.doubts
