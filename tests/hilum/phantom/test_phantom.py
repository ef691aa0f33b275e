from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from hilum.catalogue import CONSOLIDATION, GROUND_GLASS
from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.grading import MOSMED
from hilum.phantom import COVID_LESIONS, Lesion, Phantom, Place, make_phantom
from tests.phantoms import SIZE_PX, SLICES, chest, healthy


def hu_of(phantom: Phantom, mask: NDArray[np.bool_]) -> float:
    return float(np.median(phantom.voxels[mask]))


# ── Truth ─────────────────────────────────────────────────────────────────────────────────────


def test_lesions_have_the_volume_that_was_asked_for() -> None:
    phantom = chest()

    for label in (GROUND_GLASS, CONSOLIDATION):
        wanted_ml = sum(each.volume_ml for each in COVID_LESIONS if each.label == label.name)
        planted_ml = np.count_nonzero(phantom.lesions == label.value) * phantom.voxel_ml
        # Each lesion is rounded to whole voxels.
        assert planted_ml == pytest.approx(wanted_ml, abs=len(COVID_LESIONS) * phantom.voxel_ml)


@pytest.mark.parametrize("lung", ["right", "left"])
def test_lesion_lies_in_the_lung_that_was_asked_for(lung: str) -> None:
    place = Place(0.4, 0.9, 0.8)
    phantom = chest(lesions=(Lesion("consolidation", 20.0, lung, place),))

    sides = set(np.unique(phantom.lungs[phantom.lesions > 0]))

    assert sides == {RIGHT_LUNG if lung == "right" else LEFT_LUNG}


def test_lesion_lies_where_it_was_asked_for() -> None:
    high_front = chest(lesions=(Lesion("consolidation", 5.0, "right", Place(0.8, 0.1, 0.5)),))
    low_back = chest(lesions=(Lesion("consolidation", 5.0, "right", Place(0.2, 0.9, 0.5)),))

    z_high, y_front, _ = ndimage.center_of_mass(high_front.lesions)
    z_low, y_back, _ = ndimage.center_of_mass(low_back.lesions)

    assert z_high > z_low + SLICES / 4
    assert y_front < y_back - SIZE_PX / 8


def test_lesion_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"9999\.0 ml does not fit: the left lung has"):
        chest(lesions=(Lesion("consolidation", 9999.0, "left", Place(0.5, 0.5, 0.5)),))


def test_lesions_belong_to_the_lung_they_lie_in() -> None:
    phantom = chest()

    assert phantom.lungs[phantom.lesions > 0].all()


def test_default_lesions_make_a_mild_case() -> None:
    share = chest().lesion_share

    assert 0.12 < share < 0.18
    assert share < MOSMED.alarming_share - MOSMED.review_margin


def test_lungs_have_the_size_of_an_adult_s_and_the_right_one_is_larger() -> None:
    phantom = chest()

    right, left = (np.count_nonzero(phantom.lungs == lung) for lung in (RIGHT_LUNG, LEFT_LUNG))

    assert 3500 < phantom.lung_ml < 6000
    assert 1.05 < right / left < 1.4


def test_right_lung_lies_on_the_patient_s_right() -> None:
    phantom = healthy()

    centre_mm = {
        lung: (phantom.affine @ (*ndimage.center_of_mass(phantom.lungs == lung), 1))[0]
        for lung in (RIGHT_LUNG, LEFT_LUNG)
    }

    # LPS: x grows to the patient's left.
    assert centre_mm[RIGHT_LUNG] < -40 < 40 < centre_mm[LEFT_LUNG]


def test_each_lung_is_of_one_piece() -> None:
    phantom = healthy()

    for lung in (RIGHT_LUNG, LEFT_LUNG):
        pieces, count = ndimage.label(phantom.lungs == lung)
        sizes = np.bincount(pieces.ravel())[1:]
        assert count >= 1
        assert sizes.max() / sizes.sum() > 0.99


# ── Densities ─────────────────────────────────────────────────────────────────────────────────


def test_tissues_have_their_densities() -> None:
    phantom = chest()
    is_lung = phantom.lungs > 0

    assert -920 < hu_of(phantom, is_lung & (phantom.lesions == 0)) < -800
    assert -650 < hu_of(phantom, phantom.lesions == GROUND_GLASS.value) < -450
    assert -250 < hu_of(phantom, phantom.lesions == CONSOLIDATION.value) < 50
    assert phantom.voxels.max() > 500
    assert np.median(phantom.voxels[:, 0, :]) == pytest.approx(-1000, abs=10)


def test_lung_is_denser_at_the_back_where_it_rests() -> None:
    phantom = healthy()
    rows = np.broadcast_to(np.arange(SIZE_PX)[:, None], phantom.lungs.shape)

    front = (phantom.lungs > 0) & (rows < SIZE_PX * 0.42)
    back = (phantom.lungs > 0) & (rows > SIZE_PX * 0.62)

    assert hu_of(phantom, back) > hu_of(phantom, front) + 15


def test_consolidated_lobe_is_dense_lung_and_counts_as_lesion() -> None:
    phantom = make_phantom(slices=SLICES, size_px=SIZE_PX, lesions=(), consolidated_lobe=True)

    lobe = phantom.lesions == CONSOLIDATION.value

    assert 0 < hu_of(phantom, lobe) < 60
    assert set(np.unique(phantom.lungs[lobe])) == {RIGHT_LUNG}
    assert 0.3 < np.count_nonzero(lobe) / np.count_nonzero(phantom.lungs == RIGHT_LUNG) < 0.7


def test_bowel_gas_lies_below_the_lungs_and_is_none_of_them() -> None:
    plain = healthy()
    blown = make_phantom(slices=SLICES, size_px=SIZE_PX, lesions=(), bowel_gas=True)

    gas = (blown.voxels < -800) & (plain.voxels > -300)

    assert np.count_nonzero(gas) * blown.voxel_ml > 50
    assert not blown.lungs[ndimage.binary_opening(gas)].any()
    np.testing.assert_array_equal(blown.lungs, plain.lungs)


# ── Making it again ───────────────────────────────────────────────────────────────────────────


def test_same_seed_gives_the_same_chest() -> None:
    again = make_phantom(slices=SLICES, size_px=SIZE_PX)

    np.testing.assert_array_equal(again.voxels, chest().voxels)
    np.testing.assert_array_equal(again.lesions, chest().lesions)


def test_another_seed_gives_another_chest() -> None:
    assert not np.array_equal(chest(1).lungs, chest(0).lungs)
    assert chest(1).lung_ml == pytest.approx(chest(0).lung_ml, rel=0.15)


def test_coarser_grid_holds_the_same_chest() -> None:
    coarse = make_phantom(slices=SLICES, size_px=SIZE_PX // 2, lesions=())

    assert coarse.lung_ml == pytest.approx(healthy().lung_ml, rel=0.02)


# ── DICOM ─────────────────────────────────────────────────────────────────────────────────────


def test_series_is_valid_ct_under_uids_of_its_own(tmp_path: Path) -> None:
    paths = chest().write_dicom(tmp_path)

    slices = [pydicom.dcmread(path) for path in paths]

    assert len({dataset.SOPInstanceUID for dataset in slices}) == SLICES
    assert len({dataset.SeriesInstanceUID for dataset in slices}) == 1
    for dataset in slices:
        assert dataset.SOPClassUID.keyword == "CTImageStorage"
        assert dataset.file_meta.TransferSyntaxUID.keyword == "ExplicitVRLittleEndian"
        assert dataset.SOPInstanceUID.startswith("2.25.")
        assert dataset.SOPInstanceUID.is_valid
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert str(dataset.PatientName) == "Phantom^Hilum"


def test_first_instance_is_the_topmost() -> None:
    slices = chest().datasets()

    assert [dataset.InstanceNumber for dataset in slices] == list(range(1, SLICES + 1))
    assert slices[0].ImagePositionPatient[2] > slices[-1].ImagePositionPatient[2]


def test_uids_follow_from_the_chest() -> None:
    assert chest().datasets()[0].SOPInstanceUID == chest().datasets()[0].SOPInstanceUID
    assert chest().datasets()[0].StudyInstanceUID != healthy().datasets()[0].StudyInstanceUID


def test_pixels_in_hounsfield_units_are_the_voxels() -> None:
    topmost = chest().datasets()[0]

    hu = topmost.pixel_array * topmost.RescaleSlope + topmost.RescaleIntercept

    np.testing.assert_array_equal(hu, chest().voxels[-1])
