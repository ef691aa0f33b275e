import numpy as np
import pytest
from scipy.spatial.distance import dice as dice_distance

from hilum.evaluation.metrics import Counts, bootstrap, bootstrap_each, compare, mean, pool

WORKED = Counts(true_positives=6, false_positives=2, false_negatives=4)


def test_figures_of_a_hand_worked_example() -> None:
    assert WORKED.f1 == pytest.approx(12 / 18)
    assert WORKED.precision == pytest.approx(6 / 8)
    assert WORKED.recall == pytest.approx(6 / 10)


def test_two_empty_masks_agree_fully() -> None:
    empty = Counts(0, 0, 0)

    assert (empty.f1, empty.precision, empty.recall) == (1, 1, 1)


def test_pixels_are_counted_where_masks_agree_and_differ() -> None:
    found = np.array([[1, 1, 0, 0]], bool)
    truth = np.array([[1, 0, 1, 0]], bool)

    assert compare(found, truth) == Counts(1, 1, 1)


def test_dice_agrees_with_scipy_on_random_masks() -> None:
    rng = np.random.default_rng(0)
    found, truth = rng.random((2, 40, 50)) > 0.6

    expected = 1 - dice_distance(found.ravel(), truth.ravel())

    assert compare(found, truth).f1 == pytest.approx(expected)


def test_pooling_weighs_pixels_not_slices() -> None:
    large, small = Counts(900, 100, 0), Counts(0, 1, 9)

    assert pool([large, small]) == Counts(900, 101, 9)
    assert pool([large, small]).f1 > 0.9 > (large.f1 + small.f1) / 2


def test_an_interval_holds_its_figure_and_narrows_with_more_slices() -> None:
    values = np.random.default_rng(1).random(400).tolist()

    few, many = (
        bootstrap(values[:count], lambda drawn: float(np.mean(drawn))) for count in (10, 400)
    )

    assert few.low < few.value < few.high
    assert many.high - many.low < (few.high - few.low) / 3


def test_a_bootstrap_interval_has_the_width_theory_gives_it() -> None:
    values = np.random.default_rng(2).normal(0, 1, 100)

    interval = bootstrap(values.tolist(), lambda drawn: float(np.mean(drawn)))

    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / 10, rel=0.1)


def test_the_same_seed_draws_the_same_interval() -> None:
    values = [0.1, 0.5, 0.9]

    assert bootstrap(values, max, seed=4) == bootstrap(values, max, seed=4)


def test_several_statistics_come_from_the_same_draws() -> None:
    values = np.random.default_rng(3).random(30).tolist()

    middle, top = bootstrap_each(values, lambda drawn: [mean(drawn), max(drawn)])

    assert middle == bootstrap(values, mean)
    assert top == bootstrap(values, max)


def test_groups_of_one_draw_as_no_groups_do() -> None:
    values = np.random.default_rng(5).random(50).tolist()

    assert bootstrap(values, mean, [str(place) for place in range(50)]) == bootstrap(values, mean)


def test_copies_of_a_slice_narrow_nothing_when_their_volume_is_known() -> None:
    values = np.random.default_rng(6).random(12).tolist()
    copies = [value for value in values for _ in range(30)]
    volumes = [str(place) for place in range(12) for _ in range(30)]

    alone, grouped = bootstrap(values, mean), bootstrap(copies, mean, volumes)

    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    assert grouped.high - grouped.low > 4 * (
        bootstrap(copies, mean).high - bootstrap(copies, mean).low
    )


def test_a_draw_without_a_figure_is_left_out() -> None:
    values = [np.nan, 2.0, 2.0]

    interval = bootstrap(
        values, lambda drawn: float(np.mean([one for one in drawn if one > 0] or np.nan))
    )

    assert (interval.value, interval.low, interval.high) == (2, 2, 2)
