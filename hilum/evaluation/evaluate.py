# SPDX-License-Identifier: Apache-2.0
"""Measure a network: look at slices once, then judge what it saw at any operating point."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ConfigurationError
from hilum.evaluation.agreement import Agreement, agreement, share_difference
from hilum.evaluation.controls import Control, measure_control
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
from hilum.training.data import Example
from hilum.training.folds import group_of

CLEAN_SHARE = 0.005
"""A control slice with less lesion than this share of its lungs counts as clean, 0..1."""


@dataclass(frozen=True, slots=True)
class Look:
    """One slice and what the network saw in it; thousands are held at a time.

    Attributes:
        example: the slice with its truth.
        halves: [2, h, w], as `hilum.networks.detections.lesion_map` gives them, in half precision.
        seconds: from image to probabilities.
        detections: the boxes behind the probabilities, without the dense branch.
    """

    example: Example
    halves: NDArray[np.float16]
    seconds: float
    detections: Detections

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """What `hilum.networks.detections` works on, [2, h, w]."""
        return self.halves.astype(np.float32)

    def found(self, threshold: float) -> NDArray[np.uint8]:
        """Return the label map [h, w] at an operating point."""
        return label_map(self.probabilities, threshold=threshold)


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
    """Figures of one network at one operating point, with intervals over volumes.

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
        controls: slices without lesions judged, as they would be served.
        controls_without_lung: those left out, since the lung step finds no lung in them.
        control_share: share of the lungs that is falsely found to be lesion, mean.
        controls_clean: share of them under `CLEAN_SHARE`, 0..1.
        control_lesions: lesions falsely found in the lungs of one of them, mean.
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
    controls_without_lung: int
    control_share: Interval | None
    controls_clean: Interval | None
    control_lesions: Interval | None
    seconds_per_slice: Interval


def part(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Part slices into those with lesions and those without, which are judged as controls.

    Raises:
        ConfigurationError: none has a lesion.
    """
    ill = [example for example in examples if example.labels.any()]
    if not ill:
        raise ConfigurationError(
            f"None of {len(examples)} labelled slices holds a lesion, expected at least one."
        )
    return ill, [example for example in examples if not example.labels.any()]


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
        boxes = replace(detections, dense=np.zeros((2, 0, 0), np.float32))
        looks.append(Look(example, probabilities.astype(np.float16), seconds, boxes))
        progress(example)
    return looks


def judge(seen: Look, threshold: float) -> Judgement:
    """Cut what was seen in one slice and compare it with the truth."""
    truth, found = seen.example.labels, seen.found(threshold)
    return Judgement(
        name=seen.example.name,
        lesions=compare(found > 0, truth > 0),
        ground_glass=compare(found == GROUND_GLASS, truth == GROUND_GLASS),
        consolidation=compare(found == CONSOLIDATION, truth == CONSOLIDATION),
    )


def judge_control(seen: Look, threshold: float) -> Control | None:
    """Measure what would be reported of one control; None where no lung is found in it."""
    return measure_control(seen.example.image, seen.found(threshold) > 0)


def volumes(looks: Iterable[Look]) -> list[str]:
    """Return which volume each slice is of."""
    return [group_of(seen.example.name) for seen in looks]


def evaluate(
    lesions: Sequence[Look],
    controls: Sequence[Look],
    threshold: float,
    *,
    reading: Reading = READING,
) -> Evaluation:
    """Sum up what was seen at one operating point.

    Args:
        lesions: of slices with lesions, at least one.
        controls: of slices without lesions; may be empty.
        threshold: the operating point, 0..1.
        reading: where the lesions behind the average precisions are taken from.
    """
    judged = [judge(seen, threshold) for seen in lesions]
    dice, groups = [one.lesions.f1 for one in judged], volumes(lesions)
    measured = [(seen, judge_control(seen, threshold)) for seen in controls]
    served = [one for _, one in measured if one is not None]
    volumes_served = volumes(seen for seen, one in measured if one is not None)
    every = [*lesions, *controls]
    classes = _tells_classes(lesions)
    return Evaluation(
        threshold=threshold,
        slices=len(judged),
        dice=bootstrap(dice, mean, groups),
        dice_median=bootstrap(dice, lambda drawn: float(np.median(drawn)), groups),
        dice_ground_glass=_class_dice(judged, "ground_glass") if classes else None,
        dice_consolidation=_class_dice(judged, "consolidation") if classes else None,
        f1=bootstrap(judged, lambda drawn: _pooled(drawn).f1, groups),
        precision=bootstrap(judged, lambda drawn: _pooled(drawn).precision, groups),
        recall=bootstrap(judged, lambda drawn: _pooled(drawn).recall, groups),
        reading=reading,
        lesions=_precision(lesions, None, threshold, reading),
        ground_glass=_precision(lesions, GROUND_GLASS, threshold, reading) if classes else None,
        consolidation=_precision(lesions, CONSOLIDATION, threshold, reading) if classes else None,
        share=agreement([_share_difference(seen, threshold) for seen in lesions], groups),
        controls=len(served),
        controls_without_lung=len(controls) - len(served),
        control_share=_mean([one.share for one in served], volumes_served),
        controls_clean=_mean([float(one.share < CLEAN_SHARE) for one in served], volumes_served),
        control_lesions=_mean([float(one.lesions) for one in served], volumes_served),
        seconds_per_slice=bootstrap([seen.seconds for seen in every], mean, volumes(every)),
    )


def _shape(example: Example) -> tuple[int, int]:
    height, width = example.image.shape
    return height, width


def _tells_classes(lesions: Sequence[Look]) -> bool:
    return any((seen.example.labels == CONSOLIDATION).any() for seen in lesions)


def _class_dice(judged: Sequence[Judgement], label: str) -> Interval | None:
    counts = [(one.name, getattr(one, label)) for one in judged]
    holding = [(name, of) for name, of in counts if of.true_positives + of.false_negatives > 0]
    return _mean([of.f1 for _, of in holding], [group_of(name) for name, _ in holding])


def _precision(
    looks: Sequence[Look], label: int | None, threshold: float, reading: Reading
) -> Precision | None:
    found = [
        found_instances(
            seen.detections, seen.probabilities, label, threshold=threshold, reading=reading
        )
        for seen in looks
    ]
    truth = [true_instances(seen.example.labels, label) for seen in looks]
    return average_precision(found, truth, volumes(looks))


def _share_difference(seen: Look, threshold: float) -> float:
    return share_difference(seen.example.image, seen.found(threshold) > 0, seen.example.labels > 0)


def _pooled(judged: Sequence[Judgement]) -> Counts:
    return pool(one.lesions for one in judged)


def _mean(values: Sequence[float], groups: Sequence[str]) -> Interval | None:
    return bootstrap(values, mean, groups) if values else None
