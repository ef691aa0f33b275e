# SPDX-License-Identifier: Apache-2.0
"""Measure a network: look at slices once, then judge what it saw at any operating point."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.evaluation.agreement import VESSEL_PX, Agreement, agreement, share_difference
from hilum.evaluation.instances import READING, Reading, found_instances, true_instances
from hilum.evaluation.metrics import Counts, Interval, bootstrap, compare, mean, pool
from hilum.evaluation.precision import Precision, average_precision
from hilum.networks.detections import (
    CONSOLIDATION,
    GROUND_GLASS,
    Detections,
    label_map,
    lesion_map,
)
from hilum.networks.maskrcnn import Segmenter
from hilum.training.data import Example, air_inside, components

CLEAN_SHARE = 0.005
"""A control slice with less lesion than this share of its lung counts as clean, 0..1."""


@dataclass(frozen=True, slots=True)
class Look:
    """One slice and what the network saw in it.

    Attributes:
        example: the slice with its truth.
        probabilities: [2, h, w], as `hilum.networks.detections.lesion_map` gives them.
        lung: [h, w], air inside the body and the vessels in it.
        seconds: from image to probabilities.
        detections: what the probabilities were made of.
    """

    example: Example
    probabilities: NDArray[np.float32]
    lung: NDArray[np.bool_]
    seconds: float
    detections: Detections


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

    Figures of a class are absent where the truth knows one class alone: then nothing tells masks
    without classes from masks with one.

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
        reading: where the lesions behind the average precisions were taken from.
        lesions: average precision, both classes as one.
        ground_glass: average precision of this class.
        consolidation: average precision of this class.
        share: lesion share found against the true one; absent for a single slice.
        controls: slices without lesions judged.
        control_share: `lesion_share` of them, mean.
        controls_clean: share of them under `CLEAN_SHARE`, 0..1.
        control_lesions: lesions falsely found in one of them, mean.
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
    reading: Reading
    lesions: Precision | None
    ground_glass: Precision | None
    consolidation: Precision | None
    share: Agreement | None
    controls: int
    control_share: Interval | None
    controls_clean: Interval | None
    control_lesions: Interval | None
    seconds_per_slice: Interval


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
        looks.append(Look(example, probabilities, _lung(example.image), seconds, detections))
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


def evaluate(
    lesions: Sequence[Look],
    controls: Sequence[Look],
    threshold: float,
    *,
    reading: Reading = READING,
) -> Evaluation:
    """Sum up what was seen at one operating point.

    Args:
        lesions: of labelled slices, at least one.
        controls: of slices without lesions; may be empty.
        threshold: the operating point, 0..1.
        reading: where the lesions behind the average precisions are taken from.
    """
    judged = [judge(seen, threshold) for seen in lesions]
    dice = [one.lesions.f1 for one in judged]
    shares = [lesion_share(seen, threshold) for seen in controls]
    classes = _tells_classes(lesions)
    return Evaluation(
        threshold=threshold,
        slices=len(judged),
        dice=bootstrap(dice, mean),
        dice_median=bootstrap(dice, lambda drawn: float(np.median(drawn))),
        dice_ground_glass=_class_dice([one.ground_glass for one in judged]) if classes else None,
        dice_consolidation=_class_dice([one.consolidation for one in judged]) if classes else None,
        f1=bootstrap(judged, lambda drawn: _pooled(drawn).f1),
        precision=bootstrap(judged, lambda drawn: _pooled(drawn).precision),
        recall=bootstrap(judged, lambda drawn: _pooled(drawn).recall),
        reading=reading,
        lesions=_precision(lesions, None, threshold, reading),
        ground_glass=_precision(lesions, GROUND_GLASS, threshold, reading) if classes else None,
        consolidation=_precision(lesions, CONSOLIDATION, threshold, reading) if classes else None,
        share=agreement([_share_difference(seen, threshold) for seen in lesions]),
        controls=len(shares),
        control_share=_mean(shares),
        controls_clean=_mean([float(share < CLEAN_SHARE) for share in shares]),
        control_lesions=_mean([_lesions_found(seen, threshold) for seen in controls]),
        seconds_per_slice=bootstrap([seen.seconds for seen in [*lesions, *controls]], mean),
    )


def _lung(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark air inside the body with the vessels in it, as the pipeline's lung step would."""
    closed = ndimage.binary_closing(air_inside(image), iterations=VESSEL_PX)
    lung: NDArray[np.bool_] = ndimage.binary_fill_holes(closed)
    return lung


def _shape(example: Example) -> tuple[int, int]:
    height, width = example.image.shape
    return height, width


def _tells_classes(lesions: Sequence[Look]) -> bool:
    return any((seen.example.labels == CONSOLIDATION).any() for seen in lesions)


def _class_dice(counts: Sequence[Counts]) -> Interval | None:
    return _mean([one.f1 for one in counts if one.true_positives + one.false_negatives > 0])


def _precision(
    looks: Sequence[Look], label: int | None, threshold: float, reading: Reading
) -> Precision | None:
    found = [
        found_instances(
            seen.detections, seen.probabilities, label, threshold=threshold, reading=reading
        )
        for seen in looks
    ]
    return average_precision(found, [true_instances(seen.example.labels, label) for seen in looks])


def _share_difference(seen: Look, threshold: float) -> float:
    found = label_map(seen.probabilities, threshold=threshold) > 0
    return share_difference(seen.example.image, found, seen.example.labels > 0)


def _lesions_found(seen: Look, threshold: float) -> int:
    found = label_map(seen.probabilities, threshold=threshold) > 0
    return len(components(found.astype(np.uint8))[1])


def _pooled(judged: Sequence[Judgement]) -> Counts:
    return pool(one.lesions for one in judged)


def _mean(values: Sequence[float]) -> Interval | None:
    return bootstrap(values, mean) if values else None
