from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hilum.evaluation.evaluate import (
    Look,
    choose_threshold,
    cross_fitted_dice,
    evaluate,
    judge,
    lesion_share,
    look,
)
from hilum.networks.detections import Detections
from hilum.training.data import Example

Make = Callable[..., Look]


class OneBox:
    """Stands for a network: it always sees one lesion, in the upper left quarter."""

    def predict(self, images: np.ndarray) -> list[Detections]:
        height, width = images.shape[1:]
        return [
            Detections(
                boxes=np.array([[0, 0, width / 2, height / 2]], np.float32),
                scores=np.array([0.9], np.float32),
                labels=np.array([1]),
                masks=np.ones((1, 28, 28), np.float32),
                dense=_quarter(height, width),
            )
            for _ in images
        ]


def _quarter(height: int, width: int) -> NDArray[np.float32]:
    dense = np.zeros((2, height, width), np.float32)
    dense[0, : height // 2, : width // 2] = 0.9
    return dense


def test_a_lesion_above_the_threshold_is_found_and_one_below_is_not(seen: Make) -> None:
    assert judge(seen(certainty=0.8), 0.5).lesions.f1 == 1
    assert judge(seen(certainty=0.4), 0.5).lesions.f1 == 0


def test_a_lesion_of_the_wrong_class_counts_as_lesion_but_not_as_class(seen: Make) -> None:
    right, wrong = seen(label=2), seen(label=1)
    mistaken = Look(right.example, wrong.probabilities, right.lung, 0.1)

    judged = judge(mistaken, 0.5)

    assert judged.lesions.f1 == 1
    assert judged.consolidation.f1 == 0
    assert judged.ground_glass.false_positives == 100


def test_the_share_of_a_control_is_counted_inside_its_lung(seen: Make) -> None:
    control = seen(label=0, certainty=0.8)
    control.probabilities[:, 10:] = 0.9  # below the lung

    assert lesion_share(control, 0.5) == pytest.approx(100 / 200)


def test_the_threshold_falls_between_what_is_true_and_what_is_not(seen: Make) -> None:
    lesions = [seen(str(index), certainty=0.8, halo=0.42) for index in range(3)]

    assert 0.42 < choose_threshold(lesions) <= 0.8


def test_of_thresholds_as_good_the_highest_is_taken(seen: Make) -> None:
    assert choose_threshold([seen(certainty=0.63)]) == 0.6


def test_a_little_dice_is_given_up_for_a_higher_threshold(seen: Make) -> None:
    lesions = [seen(str(index), certainty=0.8) for index in range(200)]
    faint = seen("faint", certainty=0.3)

    assert choose_threshold([*lesions, faint]) == 0.8
    assert choose_threshold([*lesions[:10], faint]) == 0.3


def test_cross_fitting_cuts_a_slice_where_the_others_would(seen: Make) -> None:
    plain = [seen(str(index), certainty=0.8) for index in range(4)]
    odd = seen("odd", certainty=0.6)
    slices = [*plain, odd]

    figure = cross_fitted_dice(slices)

    # The others do not know how faint the odd slice is and cut at 0.8, so it is lost.
    assert evaluate(slices, [], choose_threshold(slices)).dice.value == 1
    assert figure.value == pytest.approx(4 / 5)


def test_an_evaluation_sums_up_classes_pixels_and_controls(seen: Make) -> None:
    lesions = [seen("a", label=1), seen("b", label=2, halo=0.6)]
    controls = [seen("c", label=0, certainty=0.0), seen("d", label=0, certainty=0.9)]

    result = evaluate(lesions, controls, 0.5)

    assert (result.slices, result.controls) == (2, 2)
    assert result.dice.value == pytest.approx((1 + 200 / 250) / 2)
    assert result.f1.value == pytest.approx(400 / 450)
    assert result.precision.value == pytest.approx(200 / 250)
    assert result.recall.value == 1
    assert result.dice_ground_glass is not None
    assert result.dice_ground_glass.value == 1
    assert result.dice_consolidation is not None
    assert result.dice_consolidation.value == pytest.approx(0.8)
    assert result.control_share is not None
    assert result.control_share.value == pytest.approx(0.25)
    assert result.controls_clean is not None
    assert result.controls_clean.value == 0.5


def test_figures_without_their_slices_are_absent(seen: Make) -> None:
    result = evaluate([seen(label=1)], [], 0.5)

    assert result.dice_consolidation is None
    assert result.control_share is None


def test_looking_shows_every_slice_in_its_own_shape() -> None:
    slices = [
        Example(name, np.zeros(shape, np.float32), np.zeros(shape, np.uint8))
        for name, shape in (("a", (20, 30)), ("b", (40, 24)))
    ]
    told: list[str] = []

    looks = look(OneBox(), slices, lambda one: told.append(one.name))  # type: ignore[arg-type]

    assert told == ["a", "b"]
    assert looks[1].probabilities.shape == (2, 40, 24)
    assert looks[1].probabilities[0, :20, :12].min() == pytest.approx(0.9)
    assert not looks[1].probabilities[0, 20:].any()
