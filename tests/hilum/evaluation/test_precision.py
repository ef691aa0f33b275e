import numpy as np
import pytest

from hilum.evaluation import coco
from hilum.evaluation.instances import Instances
from hilum.evaluation.precision import OVERLAPS, average_precision, match, precisions


def lesions(*spans: tuple[int, int], scores: list[float] | None = None) -> Instances:
    """Make lesions of one row: each spans some of its 100 pixels."""
    masks = np.zeros((len(spans), 1, 100), bool)
    for mask, (start, stop) in zip(masks, spans, strict=True):
        mask[0, start:stop] = True
    return Instances(masks, np.array(scores or [1.0] * len(spans), np.float32))


def noise(rng: np.random.Generator, count: int) -> Instances:
    masks = np.zeros((count, 30, 30), bool)
    for mask in masks:
        top, left = rng.integers(0, 20, 2)
        high, wide = rng.integers(4, 12, 2)
        mask[top : top + high, left : left + wide] = True
    return Instances(masks, rng.random(count).astype(np.float32))


def test_a_lesion_overlapping_by_60_percent_counts_at_three_of_ten_limits() -> None:
    truth, found = lesions((0, 10)), lesions((0, 6), scores=[0.9])

    result = average_precision([found], [truth])

    assert result is not None
    assert result.ap50.value == 1
    assert result.ap75.value == 0
    assert result.ap.value == pytest.approx(0.3)


def test_precision_falls_where_a_false_lesion_ranks_before_a_true_one() -> None:
    truth = lesions((0, 10), (20, 30))
    found = lesions((0, 10), (50, 60), (20, 30), scores=[0.9, 0.8, 0.7])

    result = average_precision([found], [truth])

    # Precision 1 for recalls 0 to 0.50, 51 of 101, and 2/3 for the other 50.
    assert result is not None
    assert result.ap50.value == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_lesion_found_twice_is_once_false() -> None:
    truth, found = lesions((0, 10)), lesions((0, 10), (0, 9), scores=[0.5, 0.9])

    matched = match(found, truth)

    assert matched.scores == pytest.approx([0.9, 0.5])
    assert matched.hits[0].tolist() == [True, False]
    # Where 95 % must overlap, the better one fails and the worse one takes the lesion.
    assert matched.hits[-1].tolist() == [False, True]


def test_nothing_found_is_a_precision_of_zero_and_nothing_to_find_is_none() -> None:
    assert average_precision([lesions()], [lesions()]) is None
    result = average_precision([lesions()], [lesions((0, 10))])
    assert result is not None
    assert (result.ap.value, result.ap.low, result.ap.high) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_drawn_from_agrees_with_faster_coco_eval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = [noise(rng, count) for count in rng.integers(0, 5, 12)]
    found = [
        Instances(
            np.concatenate([np.roll(one.masks, 1, axis=2), other.masks]),
            np.concatenate([one.scores, other.scores]),
        )
        for one, other in zip(truth, [noise(rng, 3) for _ in truth], strict=True)
    ]

    ours = precisions([match(*pair) for pair in zip(found, truth, strict=True)])

    assert ours == pytest.approx(coco.precision(found, truth))
    assert ours[-1] < ours[0] < 1


def test_intervals_hold_their_figures_and_skip_draws_without_lesions() -> None:
    truth = [lesions((0, 10)), lesions(), lesions((0, 10))]
    found = [lesions((0, 10)), lesions((5, 9)), lesions((0, 6))]

    result = average_precision(found, truth)

    assert result is not None
    for figure in (result.ap, result.ap50, result.ap75):
        assert 0 <= figure.low <= figure.value <= figure.high <= 1


def test_the_limits_of_overlap_are_those_of_coco() -> None:
    assert OVERLAPS.tolist() == pytest.approx(
        [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    )
