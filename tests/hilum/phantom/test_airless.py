"""Lobes without air and fluid beside a lung, each with the truth that belongs to it."""

import numpy as np
import pytest

from hilum.catalogue import CONSOLIDATION
from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom import Effusion, Lobe, make_phantom
from tests.phantoms import SIZE_PX, SLICES, airless, effused, healthy


@pytest.mark.parametrize(
    ("lobe", "lung"),
    [
        ("right upper", RIGHT_LUNG),
        ("right lower", RIGHT_LUNG),
        ("left upper", LEFT_LUNG),
        ("left lower", LEFT_LUNG),
    ],
)
def test_airless_lobe_is_dense_and_lies_in_its_lung(lobe: Lobe, lung: int) -> None:
    phantom = airless(lobe)

    filled = phantom.lesions == CONSOLIDATION.value

    assert set(np.unique(phantom.lungs[filled])) == {lung}
    assert 0 < np.median(phantom.voxels[filled]) < 60


def test_both_lobes_make_a_lung() -> None:
    phantom = airless("left upper", "left lower")

    np.testing.assert_array_equal(phantom.lesions > 0, phantom.lungs == LEFT_LUNG)


def test_consolidated_lobe_is_the_right_lower_one() -> None:
    asked = make_phantom(slices=SLICES, size_px=SIZE_PX, lesions=(), consolidated_lobe=True)

    np.testing.assert_array_equal(asked.voxels, airless("right lower").voxels)


def test_fluid_has_its_volume_and_is_no_lung() -> None:
    plain, wet = healthy(), effused(Effusion("right", 600.0))

    fluid = (plain.lungs == RIGHT_LUNG) & (wet.lungs == 0)

    assert np.count_nonzero(fluid) * wet.voxel_ml == pytest.approx(600.0, rel=0.01)
    assert 0 < np.median(wet.voxels[fluid]) < 30
    np.testing.assert_array_equal(wet.lungs == LEFT_LUNG, plain.lungs == LEFT_LUNG)


def test_fluid_gathers_at_the_back() -> None:
    plain, wet = healthy(), effused(Effusion("right", 600.0))

    rows = np.nonzero((plain.lungs == RIGHT_LUNG) & (wet.lungs == 0))[1]

    assert rows.mean() > np.nonzero(wet.lungs == RIGHT_LUNG)[1].mean() + SIZE_PX / 10


def test_more_fluid_than_lung_is_refused() -> None:
    with pytest.raises(ValueError, match=r"9999\.0 ml does not fit: the left lung has"):
        effused(Effusion("left", 9999.0))
