from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hilum.errors import ConfigurationError
from hilum.evaluation.evaluate import (
    Look,
    evaluate,
    judge,
    look,
    part,
)
from hilum.networks.detections import DENSE_SHARE, Detections
from hilum.training.data import Example
from tests.hilum.evaluation.boxes import detections
from tests.hilum.evaluation.chests import RIGHT, WALL, control

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
    mistaken = replace(wrong, example=right.example)

    judged = judge(mistaken, 0.5)

    assert judged.lesions.f1 == 1
    assert judged.consolidation.f1 == 0
    assert judged.ground_glass.false_positives == 100


def test_an_evaluation_sums_up_classes_pixels_and_controls(seen: Make) -> None:
    lesions = [seen("a", label=1), seen("b", label=2, halo=0.6)]
    controls = [control("c"), control("d", RIGHT)]

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
    assert result.control_share.value == pytest.approx(0.25, abs=0.01)
    assert result.controls_clean is not None
    assert result.controls_clean.value == 0.5
    assert result.control_lesions is not None
    assert result.control_lesions.value == 0.5
    assert result.seconds_per_slice.value == pytest.approx(0.1)


def test_a_control_without_lung_is_left_out_and_counted_as_such(seen: Make) -> None:
    solid = control("solid", RIGHT, image=np.full((160, 240), WALL, np.float32))

    result = evaluate([seen()], [control("c"), solid], 0.5)

    assert (result.controls, result.controls_without_lung) == (1, 1)
    assert result.control_share is not None
    assert result.control_share.value == 0


def test_slices_without_lesions_are_controls_and_never_score(seen: Make) -> None:
    examples = [seen(name, label=label).example for name, label in (("a", 1), ("b", 0), ("c", 2))]

    ill, clean = part(examples)

    assert [one.name for one in ill] == ["a", "c"]
    assert [one.name for one in clean] == ["b"]
    with pytest.raises(ConfigurationError, match="None of 1 labelled slices holds a lesion"):
        part(clean)


def test_intervals_are_those_of_volumes_where_slices_share_one(seen: Make) -> None:
    halos = [0.0] * 10 + [0.6] * 10
    apart = [seen(f"{number:02d}", halo=halo) for number, halo in enumerate(halos)]
    shared = [seen(f"v{number // 10}_{number}", halo=halo) for number, halo in enumerate(halos)]

    alone, joined = (evaluate(looks, [], 0.5) for looks in (apart, shared))

    # Two volumes of ten like slices: half of all draws take one of them twice.
    assert joined.dice.value == alone.dice.value
    assert (joined.dice.low, joined.dice.high) == pytest.approx((200 / 250, 1))
    assert (joined.f1.low, joined.f1.high) == pytest.approx((200 / 250, 1))
    assert joined.dice.high - joined.dice.low > 2 * (alone.dice.high - alone.dice.low)


def test_an_evaluation_has_the_average_precision_of_lesions_and_of_each_class(seen: Make) -> None:
    right = seen("a", label=1)
    mistaken = replace(seen("b", label=2), halves=right.halves)

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
    # The rest of it is the dense branch, which saw nothing.
    boxes = 0.9 * (1 - DENSE_SHARE)
    assert looks[1].probabilities[0, :20, :12].min() == pytest.approx(boxes, abs=0.001)
    assert looks[1].detections.scores == pytest.approx([0.9])
    assert not looks[1].probabilities[0, 20:].any()


def test_a_look_holds_no_more_than_its_figures_need() -> None:
    example = Example("a", np.zeros((100, 100), np.float32), np.zeros((100, 100), np.uint8))

    (seen,) = look(OneBox(), [example])  # type: ignore[arg-type]

    kept = [seen.halves, *(getattr(seen.detections, each) for each in seen.detections.__slots__)]
    assert sum(array.nbytes for array in kept) < 2 * 2 * 100 * 100 + 4 * 28 * 28 + 100
