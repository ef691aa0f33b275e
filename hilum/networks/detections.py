# SPDX-License-Identifier: Apache-2.0
"""What a network says of one slice, kept small, and how it becomes a map of lesions.

A detection is a box with a coarse mask relative to it. Masks are pasted inside their boxes only,
and overlapping detections vote softly: a pixel is free of lesion if every detection misses it.
The vote is mixed with what the dense branch painted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum import catalogue

GROUND_GLASS = catalogue.GROUND_GLASS.value
CONSOLIDATION = catalogue.CONSOLIDATION.value
LESION_CLASSES = (GROUND_GLASS, CONSOLIDATION)
"""Labels of the training masks and of every label map."""

MASK_PX = 28
"""Side of a mask as the network draws it, whatever the size of its box."""

DENSE_SHARE = 2 / 3
"""Weight of the dense branch beside the vote of the boxes, 0..1, chosen out of fold: it draws finer,
the boxes tell the classes apart, and Dice changes little from a half to four fifths."""

CONSOLIDATION_ODDS = 1.5
"""Networks name consolidation, the rarer class, too seldom: its odds against ground glass are raised
by this, chosen out of fold by the Dice of both. Source: Menon et al. 2021, "Long-tail learning via
logit adjustment", arXiv 2007.07314."""


@dataclass(frozen=True, slots=True)
class Detections:
    """The detections of one slice, best first.

    Attributes:
        boxes: [n, 4], x0 y0 x1 y1 in pixels of the image given; x1 and y1 are exclusive.
        scores: [n], 0..1.
        labels: [n], 1 ground-glass opacity, 2 consolidation.
        masks: [n, 28, 28], probability 0..1 on a grid spanning the box, row 0 at y0.
        dense: [2, h, w], probability of each class by the dense branch; together 0..1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.float32]
    dense: NDArray[np.float32]

    def __len__(self) -> int:
        """Count the detections."""
        return len(self.scores)


def lesion_map(detections: Detections, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Say how likely each class is at every pixel, by boxes and dense branch together.

    Args:
        detections: of one slice.
        shape: (h, w) of the image they were found in.

    Returns:
        Probability of each class [2, h, w]; classes exclude each other, so their sum is that of
        any lesion, 0..1.
    """
    mixed = DENSE_SHARE * detections.dense + (1 - DENSE_SHARE) * vote(detections, shape)
    return _raise_consolidation(mixed)


def vote(detections: Detections, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Let the boxes vote on every pixel.

    Returns:
        [2, h, w]: the noisy-or of score times mask over all boxes, parted by that of each class.
    """
    absent = np.ones((len(LESION_CLASSES), *shape), np.float32)
    for box, score, label, mask in zip(
        detections.boxes, detections.scores, detections.labels, detections.masks, strict=True
    ):
        rows, columns = _inside(box, shape)
        if rows and columns:
            window = absent[label - 1, rows.start : rows.stop, columns.start : columns.stop]
            window *= 1 - score * paste(mask, box, rows, columns)
    present = 1 - absent
    total = present.sum(axis=0)
    either = 1 - absent.prod(axis=0)
    votes: NDArray[np.float32] = present * np.divide(
        either, total, out=np.zeros_like(total), where=total > 0
    )
    return votes


def label_map(probabilities: NDArray[np.float32], *, threshold: float) -> NDArray[np.uint8]:
    """Cut a lesion map at an operating point.

    Args:
        probabilities: [2, h, w] from `lesion_map`.
        threshold: a pixel is lesion where both classes together reach it; 0..1.

    Returns:
        [h, w]: 0 background, otherwise the class with the larger probability.
    """
    labels = np.where(probabilities[1] > probabilities[0], CONSOLIDATION, GROUND_GLASS)
    return np.where(merged(probabilities) >= threshold, labels, 0).astype(np.uint8)


def merged(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join the classes of a lesion map [2, h, w] to the probability of any lesion [h, w]."""
    either: NDArray[np.float32] = probabilities.sum(axis=0)
    return either


def _raise_consolidation(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Raise the odds of consolidation against ground glass and keep their sum."""
    either = merged(probabilities)
    weights = probabilities * np.array([1, CONSOLIDATION_ODDS], np.float32)[:, None, None]
    total = weights.sum(axis=0)
    raised: NDArray[np.float32] = weights * np.divide(
        either, total, out=np.zeros_like(total), where=total > 0
    )
    return raised


def paste(
    mask: NDArray[np.float32], box: NDArray[np.float32], rows: range, columns: range
) -> NDArray[np.float32]:
    """Draw a mask at the centres of the pixels of its box.

    Bilinear and separable: one matrix an axis, so a box costs two small products.

    Returns:
        [rows, columns], 0..1.
    """
    side = mask.shape[0]
    down = _weights(rows, float(box[1]), float(box[3]), side)
    across = _weights(columns, float(box[0]), float(box[2]), side)
    drawn: NDArray[np.float32] = np.matmul(np.matmul(down, mask), across.T)
    return drawn


def _inside(box: NDArray[np.float32], shape: tuple[int, int]) -> tuple[range, range]:
    """Return the rows and columns whose centres lie in a box, clipped to the image."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    height, width = shape
    rows = range(max(0, _first(y0)), min(height, _first(y1)))
    columns = range(max(0, _first(x0)), min(width, _first(x1)))
    return rows, columns


def _first(edge: float) -> int:
    """Return the first pixel whose centre lies at or after an edge."""
    return int(np.ceil(edge - 0.5))


def _weights(pixels: range, start: float, stop: float, side: int) -> NDArray[np.float32]:
    """Return the bilinear weights [pixels, side] of mask cells for pixel centres."""
    centres = np.arange(pixels.start, pixels.stop) + 0.5
    places = np.clip((centres - start) / (stop - start) * side - 0.5, 0, side - 1)
    distances = np.abs(places[:, None] - np.arange(side))
    weights: NDArray[np.float32] = np.maximum(0, 1 - distances).astype(np.float32)
    return weights
