# SPDX-License-Identifier: Apache-2.0
"""Measure a network: look at slices once, then judge what it saw at any operating point."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.evaluation.metrics import Counts, Interval, bootstrap, compare, pool
from hilum.networks.detections import (
    CONSOLIDATION,
    GROUND_GLASS,
    label_map,
    lesion_map,
)
from hilum.networks.maskrcnn import Segmenter
from hilum.training.data import Example, air_inside

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 18))
"""Operating points to choose from, 0..1."""

DICE_GIVEN_UP = 0.005
"""Mean Dice, 0..1, given up for a higher operating point: its curve is flat near the top, while
what is falsely found in healthy lungs keeps falling."""

CLEAN_SHARE = 0.005
"""A control slice with less lesion than this share of its lung counts as clean, 0..1."""


LUNG_CLOSING_PX = 5
"""Half the width of the vessels that count as lung."""


@dataclass(frozen=True, slots=True)
class Look:
    """One slice and what the network saw in it.

    Attributes:
        example: the slice with its truth.
        probabilities: [2, h, w], as `hilum.networks.detections.lesion_map` gives them.
        lung: [h, w], air inside the body and the vessels in it.
        seconds: from image to probabilities.
    """

    example: Example
    probabilities: NDArray[np.float32]
    lung: NDArray[np.bool_]
    seconds: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """One slice at one operating point.

    Attributes:
        name: of the slice.
        lesions: pixels of both classes as one.
        ground_glass: pixels of ground-glass opacity.
        consolidation: pixels of consolidation.
    """

    name: str
    lesions: Counts
    ground_glass: Counts
    consolidation: Counts


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one network at one operating point, with intervals over slices.

    Attributes:
        threshold: the operating point, 0..1.
        slices: labelled slices judged.
        dice: of all lesions, mean over slices.
        dice_median: of all lesions, median over slices.
        dice_ground_glass: mean over the slices that hold any.
        dice_consolidation: mean over the slices that hold any.
        f1: of all pixels of all slices.
        precision: likewise.
        recall: likewise.
        controls: slices without lesions judged.
        control_share: `lesion_share` of them, mean.
        controls_clean: share of them under `CLEAN_SHARE`, 0..1.
        seconds_per_slice: mean, on the machine that evaluated.
    """

    threshold: float
    slices: int
    dice: Interval
    dice_median: Interval
    dice_ground_glass: Interval | None
    dice_consolidation: Interval | None
    f1: Interval
    precision: Interval
    recall: Interval
    controls: int
    control_share: Interval | None
    controls_clean: Interval | None
    seconds_per_slice: float


def look(
    segmenter: Segmenter,
    examples: Sequence[Example],
    progress: Callable[[Example], None] = lambda _: None,
) -> list[Look]:
    """Show slices to a network, one at a time since no two need share a shape."""
    looks = []
    for example in examples:
        began = time.perf_counter()
        detections = segmenter.predict(example.image[None])[0]
        probabilities = lesion_map(detections, _shape(example))
        seconds = time.perf_counter() - began
        looks.append(Look(example, probabilities, _lung(example.image), seconds))
        progress(example)
    return looks


def judge(seen: Look, threshold: float) -> Judgement:
    """Cut what was seen in one slice and compare it with the truth."""
    truth = seen.example.labels
    found = label_map(seen.probabilities, threshold=threshold)
    return Judgement(
        name=seen.example.name,
        lesions=compare(found > 0, truth > 0),
        ground_glass=compare(found == GROUND_GLASS, truth == GROUND_GLASS),
        consolidation=compare(found == CONSOLIDATION, truth == CONSOLIDATION),
    )


def lesion_share(seen: Look, threshold: float) -> float:
    """Return the share of the lung that is found to be lesion, 0..1.

    Means something on controls alone: the lung is what holds air, so consolidation is not in it.
    """
    found = label_map(seen.probabilities, threshold=threshold) > 0
    return int(np.count_nonzero(found & seen.lung)) / max(1, int(np.count_nonzero(seen.lung)))


def choose_threshold(lesions: Sequence[Look]) -> float:
    """Return the highest operating point whose mean Dice is within `DICE_GIVEN_UP` of the best."""
    return _highest_good(_dice_table(lesions))


def cross_fitted_dice(lesions: Sequence[Look]) -> Interval:
    """Give the mean Dice when each slice is cut where all the others would have it.

    The operating point of `choose_threshold` has seen the slices it is reported on; this figure
    has not. At least two slices are needed.
    """
    table = _dice_table(lesions)
    dice = []
    for index in range(len(lesions)):
        threshold = _highest_good(np.delete(table, index, axis=1))
        dice.append(float(table[THRESHOLDS.index(threshold), index]))
    return bootstrap(dice, _mean)


def evaluate(lesions: Sequence[Look], controls: Sequence[Look], threshold: float) -> Evaluation:
    """Sum up what was seen at one operating point.

    Args:
        lesions: of labelled slices, at least one.
        controls: of slices without lesions; may be empty.
        threshold: the operating point, 0..1.
    """
    judged = [judge(seen, threshold) for seen in lesions]
    dice = [one.lesions.f1 for one in judged]
    shares = [lesion_share(seen, threshold) for seen in controls]
    return Evaluation(
        threshold=threshold,
        slices=len(judged),
        dice=bootstrap(dice, _mean),
        dice_median=bootstrap(dice, lambda drawn: float(np.median(drawn))),
        dice_ground_glass=_class_dice([one.ground_glass for one in judged]),
        dice_consolidation=_class_dice([one.consolidation for one in judged]),
        f1=bootstrap(judged, lambda drawn: _pooled(drawn).f1),
        precision=bootstrap(judged, lambda drawn: _pooled(drawn).precision),
        recall=bootstrap(judged, lambda drawn: _pooled(drawn).recall),
        controls=len(shares),
        control_share=bootstrap(shares, _mean) if shares else None,
        controls_clean=bootstrap([s < CLEAN_SHARE for s in shares], _mean) if shares else None,
        seconds_per_slice=_mean([seen.seconds for seen in [*lesions, *controls]]),
    )


def _lung(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark air inside the body with the vessels in it, as the pipeline's lung step would."""
    closed = ndimage.binary_closing(air_inside(image), iterations=LUNG_CLOSING_PX)
    lung: NDArray[np.bool_] = ndimage.binary_fill_holes(closed)
    return lung


def _shape(example: Example) -> tuple[int, int]:
    height, width = example.image.shape
    return height, width


def _dice_table(looks: Sequence[Look]) -> NDArray[np.float64]:
    """Return the Dice of all lesions, [threshold, slice]."""
    rows = [[judge(seen, threshold).lesions.f1 for seen in looks] for threshold in THRESHOLDS]
    return np.array(rows)


def _highest_good(table: NDArray[np.float64]) -> float:
    """Choose from the Dice of [threshold, slice]."""
    dice = table.mean(axis=1)
    good = np.flatnonzero(dice >= dice.max() - DICE_GIVEN_UP)
    return THRESHOLDS[int(good[-1])]


def _class_dice(counts: Sequence[Counts]) -> Interval | None:
    present = [one.f1 for one in counts if one.true_positives + one.false_negatives > 0]
    return bootstrap(present, _mean) if present else None


def _pooled(judged: Sequence[Judgement]) -> Counts:
    return pool(one.lesions for one in judged)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
