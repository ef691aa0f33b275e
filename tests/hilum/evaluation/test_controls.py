import numpy as np
import pytest

from hilum.evaluation.controls import measure_control, served_lungs
from hilum.training.data import crop_to_lungs
from tests.hilum.evaluation.chests import LEFT, RIGHT, WALL, chest

DENT = (slice(68, 80), slice(20, 40))
"""At the outer wall of the right lung, 12 pixels or 8 mm high."""


def nothing() -> np.ndarray:
    return np.zeros(chest().shape, bool)


def test_the_share_is_that_of_both_lungs() -> None:
    found = nothing()
    found[RIGHT] = True

    measured = measure_control(chest(), found)

    assert measured is not None
    assert measured.share == pytest.approx(0.5, abs=0.02)
    assert measured.lesions == 1


def test_dense_lung_at_the_wall_counts_though_it_holds_no_air() -> None:
    image, found = chest(), nothing()
    image[DENT] = WALL
    found[DENT] = True

    measured = measure_control(image, found)

    assert measured is not None
    assert measured.share == pytest.approx(12 * 20 / (2 * 120 * 80), rel=0.02)
    assert measured.lesions == 1


def test_what_is_found_in_the_heart_is_never_served() -> None:
    found = nothing()
    found[60:100, 105:135] = True

    measured = measure_control(chest(), found)

    assert measured is not None
    assert (measured.share, measured.lesions) == (0, 0)


def test_a_crop_has_the_lungs_of_its_slice() -> None:
    whole = np.pad(chest(), 40, constant_values=WALL)
    crop = crop_to_lungs(whole)
    assert crop is not None

    assert served_lungs(crop).sum() == served_lungs(whole).sum() > 0.95 * 2 * 120 * 80
    assert served_lungs(crop)[:, :4].sum() == 0


def test_a_lung_that_fills_its_crop_to_the_edges_is_found() -> None:
    assert served_lungs(chest()[LEFT]).mean() > 0.95


def test_where_there_is_no_lung_nothing_is_measured() -> None:
    assert measure_control(np.full((160, 240), WALL, np.float32), nothing()) is None
