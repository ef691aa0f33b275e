from dataclasses import replace

import hypothesis.extra.numpy
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from numpy.typing import NDArray
from torchvision.models.detection.roi_heads import paste_masks_in_image

from hilum.networks.detections import (
    CONSOLIDATION_ODDS,
    DENSE_SHARE,
    MASK_PX,
    Detections,
    label_map,
    lesion_map,
    merged,
    paste,
    vote,
)


def _detections(
    *found: tuple[tuple[float, float, float, float], float, int],
    masks: NDArray[np.float32] | None = None,
) -> Detections:
    """Detections of (box, score, label); masks are full unless given."""
    full = np.ones((len(found), MASK_PX, MASK_PX), np.float32)
    return Detections(
        boxes=np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in found], np.float32),
        labels=np.array([label for _, _, label in found], np.int64),
        masks=full if masks is None else masks,
        dense=np.zeros((2, 1, 1), np.float32),
    )


def test_one_detection_votes_with_its_score_inside_its_box_alone() -> None:
    votes = vote(_detections(((2, 3, 6, 5), 0.8, 1)), (8, 10))

    expected = np.zeros((2, 8, 10), np.float32)
    expected[0, 3:5, 2:6] = 0.8
    np.testing.assert_allclose(votes, expected, atol=1e-6)


def test_overlapping_detections_of_a_class_join_as_noisy_or() -> None:
    votes = vote(_detections(((0, 0, 4, 4), 0.5, 2), ((2, 0, 6, 4), 0.4, 2)), (4, 6))

    assert votes[1, 0].tolist() == pytest.approx([0.5, 0.5, 0.7, 0.7, 0.4, 0.4])
    assert not votes[0].any()


def test_the_classes_of_a_vote_share_the_noisy_or_of_all_boxes() -> None:
    votes = vote(_detections(((0, 0, 2, 2), 0.5, 1), ((0, 0, 2, 2), 0.2, 2)), (2, 2))

    assert merged(votes)[0, 0] == pytest.approx(0.6)
    assert votes[0, 0, 0] / votes[1, 0, 0] == pytest.approx(0.5 / 0.2)


def test_boxes_beyond_the_image_are_drawn_as_far_as_it_reaches() -> None:
    votes = vote(_detections(((-3, -2, 2, 20), 0.9, 1), ((30, 30, 40, 40), 0.9, 1)), (4, 5))

    assert (votes[0, :, :2] > 0.89).all()
    assert not votes[0, :, 2:].any()


def test_no_boxes_make_an_empty_vote() -> None:
    assert not vote(_detections(), (3, 4)).any()


def test_a_lesion_map_mixes_the_vote_and_the_dense_branch() -> None:
    boxes = _detections(((0, 0, 2, 2), 0.8, 1))
    dense = np.full((2, 2, 3), 0.25, np.float32)

    probabilities = lesion_map(replace(boxes, dense=dense), (2, 3))

    inside, outside = (DENSE_SHARE * 0.5 + (1 - DENSE_SHARE) * voted for voted in (0.8, 0.0))
    assert merged(probabilities)[0].tolist() == pytest.approx([inside, inside, outside])


def test_a_lesion_map_raises_the_odds_of_consolidation_and_keeps_the_sum() -> None:
    dense = np.array([[[0.6, 0.6, 0.0]], [[0.2, 0.0, 0.4]]], np.float32)

    glass, consolidation = lesion_map(replace(_detections(), dense=dense), (1, 3))

    assert consolidation[0, 0] / glass[0, 0] == pytest.approx(CONSOLIDATION_ODDS * 0.2 / 0.6)
    either = [DENSE_SHARE * painted for painted in (0.8, 0.6, 0.4)]
    assert (glass + consolidation)[0].tolist() == pytest.approx(either)
    assert glass[0, 2] == consolidation[0, 1] == 0


@given(hypothesis.extra.numpy.arrays(np.float32, (2, 6, 7), elements=st.floats(0, 0.5, width=32)))
def test_a_lesion_map_never_leaves_the_range_of_a_probability(
    dense: NDArray[np.float32],
) -> None:
    boxes = _detections(((0, 0, 5, 5), 1.0, 1), ((1, 1, 7, 6), 1.0, 2), ((0, 2, 4, 6), 0.5, 2))

    either = merged(lesion_map(replace(boxes, dense=dense), (6, 7)))

    assert either.min() >= 0
    assert either.max() <= 1 + 1e-6


def test_label_map_takes_the_likelier_class_where_both_reach_the_threshold() -> None:
    votes = np.array([[[0.6, 0.1, 0.2, 0.1]], [[0.1, 0.4, 0.15, 0.1]]], np.float32)

    labels = label_map(votes, threshold=0.35)

    assert labels.dtype == np.uint8
    assert labels.tolist() == [[1, 2, 1, 0]]


def test_mask_rows_run_down_and_columns_across_the_box() -> None:
    mask = np.zeros((MASK_PX, MASK_PX), np.float32)
    mask[: MASK_PX // 2] = 1  # the upper half

    drawn = paste(mask, np.array([0, 0, 10, 20], np.float32), range(20), range(10))

    assert (drawn[:9] == 1).all()
    assert (drawn[11:] == 0).all()


def test_pasting_agrees_with_torchvision_away_from_the_box_edge() -> None:
    y, x = np.mgrid[:MASK_PX, :MASK_PX] / MASK_PX
    mask = (0.5 + 0.5 * np.sin(6 * x) * np.cos(9 * y)).astype(np.float32)
    box = np.array([10, 20, 10 + 56, 20 + 84], np.float32)

    ours = vote(_detections((tuple(box), 1.0, 1), masks=mask[None]), (128, 96))[0]

    theirs = paste_masks_in_image(
        torch.from_numpy(mask)[None, None], torch.from_numpy(box)[None], (128, 96)
    )[0, 0].numpy()
    inner = np.s_[24:100, 14:62]
    # torchvision rounds the grown box to whole pixels, a shift of up to half a pixel.
    assert np.abs(ours[inner] - theirs[inner]).max() < 0.1
    assert np.abs(ours[inner] - theirs[inner]).mean() < 0.03
