"""Slices of a chest in which the lung step finds lungs."""

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation.evaluate import Look
from hilum.training.data import Example
from tests.hilum.evaluation.boxes import detections

WALL, LUNG = 0.86, 0.26
"""40 and -860 HU over the networks' window."""

RIGHT = (slice(20, 140), slice(20, 100))
LEFT = (slice(20, 140), slice(140, 220))


def chest() -> NDArray[np.float32]:
    """Draw two lungs, each of 120 x 80 pixels, with a heart between them."""
    image = np.full((160, 240), WALL, np.float32)
    image[RIGHT] = image[LEFT] = LUNG
    return image


def control(
    name: str, *found: tuple[slice, slice], image: NDArray[np.float32] | None = None
) -> Look:
    """Make a look at a chest without lesions in which some were found."""
    image = chest() if image is None else image
    halves = np.zeros((2, *image.shape), np.float16)
    for place in found:
        halves[0][place] = 0.9
    example = Example(name, image, np.zeros(image.shape, np.uint8))
    return Look(example, halves, 0.1, detections([], [], []))
