from collections.abc import Callable

import pytest

from hilum.evaluation.evaluate import Look, evaluate
from hilum.evaluation.operating_point import choose_threshold, cross_fitted_dice

Make = Callable[..., Look]


def test_the_threshold_falls_between_what_is_true_and_what_is_not(seen: Make) -> None:
    lesions = [seen(str(index), certainty=0.8, halo=0.42) for index in range(3)]

    assert 0.42 < choose_threshold(lesions) <= 0.8


def test_of_thresholds_as_good_the_highest_is_taken(seen: Make) -> None:
    assert choose_threshold([seen(certainty=0.63)]) == 0.6


def test_a_little_dice_is_given_up_for_a_higher_threshold(seen: Make) -> None:
    lesions = [seen(str(index), certainty=0.81) for index in range(200)]
    faint = seen("faint", certainty=0.31)

    assert choose_threshold([*lesions, faint]) == 0.8
    assert choose_threshold([*lesions[:10], faint]) == 0.3


def test_cross_fitting_cuts_a_slice_where_the_others_would(seen: Make) -> None:
    plain = [seen(str(index), certainty=0.81) for index in range(4)]
    odd = seen("odd", certainty=0.6)
    slices = [*plain, odd]

    figure = cross_fitted_dice(slices)

    # The others do not know how faint the odd slice is and cut at 0.8, so it is lost.
    assert evaluate(slices, [], choose_threshold(slices)).dice.value == 1
    assert figure.value == pytest.approx(4 / 5)


def test_cross_fitting_leaves_out_the_whole_volume_of_a_slice(seen: Make) -> None:
    plain = [seen(f"plain_{index}", certainty=0.81) for index in range(4)]
    odd = [seen(f"odd_{index}", certainty=0.6) for index in range(4)]

    # A slice of the odd volume, faint as it is, would have told where its neighbours are cut.
    assert cross_fitted_dice([*plain, *odd]).value == pytest.approx(4 / 8)
