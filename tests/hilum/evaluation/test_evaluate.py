from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hilum.evaluation.evaluate import (
    Look,
    evaluate,
    judge,
    lesion_share,
    look,
)
from hilum.networks.detections import Detections
from hilum.training.data import Example
from tests.hilum.evaluation.boxes import detections

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
                dense=np.zeros((2, height, width), np.float32),
            )
            for _ in images
        ]


def test_a_lesion_above_the_threshold_is_found_and_one_below_is_not(seen: Make) -> None:
    assert judge(seen(certainty=0.8), 0.5).lesions.f1 == 1
    assert judge(seen(certainty=0.4), 0.5).lesions.f1 == 0


def test_a_lesion_of_the_wrong_class_counts_as_lesion_but_not_as_class(seen: Make) -> None:
    right, wrong = seen(label=2), seen(label=1)
    mistaken = Look(right.example, wrong.probabilities, right.lung, 0.1, wrong.detections)

    judged = judge(mistaken, 0.5)

    assert judged.lesions.f1 == 1
    assert judged.consolidation.f1 == 0
    assert judged.ground_glass.false_positives == 100


def test_the_share_of_a_control_is_counted_inside_its_lung(seen: Make) -> None:
    control = seen(label=0, certainty=0.8)
    control.probabilities[:, 10:] = 0.9  # below the lung

    assert lesion_share(control, 0.5) == pytest.approx(100 / 200)


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
    assert result.control_lesions is not None
    assert result.control_lesions.value == 0.5
    assert result.seconds_per_slice.value == pytest.approx(0.1)


def test_an_evaluation_has_the_average_precision_of_lesions_and_of_each_class(seen: Make) -> None:
    right = seen("a", label=1)
    mistaken = replace(seen("b", label=2), probabilities=right.probabilities)

    result = evaluate([right, mistaken], [], 0.5)

    assert result.lesions is not None
    assert result.lesions.ap50.value == 1
    assert result.ground_glass is not None
    # Found as well as the true one, so either may come first: the first by name does.
    assert result.ground_glass.ap.value == 1
    assert result.consolidation is not None
    assert result.consolidation.ap50.value == 0


def test_lesions_are_read_from_the_map_unless_boxes_are_asked_for(seen: Make) -> None:
    boxless = replace(seen("a"), detections=detections([], [], []))

    by_map, by_boxes = (
        evaluate([boxless], [], 0.5, **given) for given in ({}, {"reading": "boxes"})
    )

    assert by_map.reading == "map"
    assert by_map.lesions is not None
    assert by_map.lesions.ap50.value == 1
    assert by_boxes.lesions is not None
    assert by_boxes.lesions.ap50.value == 0


def test_the_lesion_share_is_judged_over_one_lung_for_both(seen: Make) -> None:
    exact, larger = seen("a", label=1), seen("b", label=1, halo=0.6)

    result = evaluate([exact, larger], [], 0.5)

    # The black picture is all air: 50 of 400 pixels too many on one of two slices.
    assert result.share is not None
    assert result.share.bias.value == pytest.approx(100 * 50 / 400 / 2)
    assert result.share.error.value == pytest.approx(100 * 50 / 400 / 2)


def test_masks_of_one_class_say_nothing_of_classes(seen: Make) -> None:
    result = evaluate([seen(label=1)], [], 0.5)

    assert result.dice_ground_glass is None
    assert result.ground_glass is None
    assert result.lesions is not None


def test_figures_without_their_slices_are_absent(seen: Make) -> None:
    result = evaluate([seen(label=2)], [], 0.5)

    assert result.dice_consolidation is not None
    assert result.dice_ground_glass is None
    assert result.control_share is None
    assert result.share is None


def test_looking_shows_every_slice_in_its_own_shape() -> None:
    slices = [
        Example(name, np.zeros(shape, np.float32), np.zeros(shape, np.uint8))
        for name, shape in (("a", (20, 30)), ("b", (40, 24)))
    ]
    told: list[str] = []

    looks = look(OneBox(), slices, lambda one: told.append(one.name))  # type: ignore[arg-type]

    assert told == ["a", "b"]
    assert looks[1].probabilities.shape == (2, 40, 24)
    # Half of it is the dense branch, which saw nothing.
    assert looks[1].probabilities[0, :20, :12].min() == pytest.approx(0.45)
    assert looks[1].detections.scores == pytest.approx([0.9])
    assert not looks[1].probabilities[0, 20:].any()
