# SPDX-License-Identifier: Apache-2.0
"""Lesions as countable things: those of a truth, and those that a network found.

A truth's lesions are its connected components. A network's are read in one of two ways. As the
components of its lesion map at the operating point, they are what a report lists, made by the rule
that makes the truth's, and drawn as finely as the map. As its boxes, they are what others publish
of Mask R-CNN: each has a score of its own down to 0.05, but its mask has 28 cells a side, and a
box was taught the components of one class, not those of merged lesions. The map is the sounder.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from hilum.networks.detections import Detections, label_map, merged, vote
from hilum.training.data import components

Reading = Literal["boxes", "map"]
"""Where a network's lesions are taken from."""

READING: Reading = "map"
"""The reading whose figures stand on cards."""

OVERLAP_MAX = 0.5
"""Of two boxes of any class that overlap by more, the better one stays: torchvision's own limit
within a class."""

MASK_FROM = 0.5
"""A box's mask begins at this probability, as in torchvision's references."""


@dataclass(frozen=True, slots=True)
class Instances:
    """Lesions of one slice.

    Attributes:
        masks: [n, h, w].
        scores: [n], 0..1; 1 for each lesion of a truth.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the lesions."""
        return len(self.scores)


def true_instances(labels: NDArray[np.uint8], label: int | None) -> Instances:
    """Split a truth [h, w] into lesions: of one class, or of any where `label` is None."""
    masks = _components(labels > 0 if label is None else labels == label)
    return Instances(masks, np.ones(len(masks), np.float32))


def found_instances(
    detections: Detections,
    probabilities: NDArray[np.float32],
    label: int | None,
    *,
    threshold: float,
    reading: Reading = READING,
) -> Instances:
    """Return the lesions a network found: of one class, or of any where `label` is None.

    Args:
        detections: of one slice.
        probabilities: its lesion map [2, h, w].
        label: 1 or 2.
        threshold: the operating point, 0..1; matters to the reading `map` alone.
        reading: where the lesions are taken from.
    """
    if reading == "boxes":
        return _boxes(detections, probabilities.shape[1:], label)
    return _pieces(probabilities, label, threshold)


def _boxes(detections: Detections, shape: tuple[int, ...], label: int | None) -> Instances:
    kept = _suppressed(detections) if label is None else np.flatnonzero(detections.labels == label)
    masks = [_mask(detections, index, shape) for index in kept]
    stack = np.stack(masks) if masks else np.zeros((0, *shape), bool)
    drawn = stack.any(axis=(1, 2))
    return Instances(stack[drawn], detections.scores[kept][drawn])


def _suppressed(detections: Detections) -> NDArray[np.intp]:
    """Return the places of boxes that no better one covers, whatever the class of either."""
    boxes, scores = torch.from_numpy(detections.boxes), torch.from_numpy(detections.scores)
    kept: NDArray[np.intp] = nms(boxes, scores, OVERLAP_MAX).numpy()
    return kept


def _mask(detections: Detections, index: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Paste one box's mask on its slice: what a single certain box votes for."""
    height, width = shape
    only = slice(index, index + 1)
    alone = Detections(
        boxes=detections.boxes[only],
        scores=np.ones(1, np.float32),
        labels=detections.labels[only],
        masks=detections.masks[only],
        dense=detections.dense,
    )
    pasted: NDArray[np.bool_] = vote(alone, (height, width)).sum(axis=0) >= MASK_FROM
    return pasted


def _pieces(probabilities: NDArray[np.float32], label: int | None, threshold: float) -> Instances:
    """Score each component by the mean probability in it, so that size alone wins nothing."""
    labels = label_map(probabilities, threshold=threshold)
    masks = _components(labels > 0 if label is None else labels == label)
    certain = merged(probabilities) if label is None else probabilities[label - 1]
    scores = [float(certain[mask].mean()) for mask in masks]
    return Instances(masks, np.array(scores, np.float32))


def _components(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Split a mask as training does, tiny pieces dropped: [n, h, w]."""
    return components(mask.astype(np.uint8))[0].astype(bool)
