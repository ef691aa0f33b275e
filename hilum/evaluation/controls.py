# SPDX-License-Identifier: Apache-2.0
"""What is falsely reported of slices without lesions, measured as it is served.

A report counts what lies inside the lungs of the pipeline's own lung step, which hold consolidated
lung, and nothing outside them. Controls are held to the same lungs: a heart called consolidation
costs nothing, dense lung called consolidation does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.networks.maskrcnn import WINDOW_HU
from hilum.pipelines.lungs import find_lungs
from hilum.training.data import components
from hilum.volume import Volume

PIXEL_MM = 0.7
"""Side of a pixel, assumed, since pictures do not say it: 512 of them then span 36 cm. A crop keeps
the pixels of its slice, so the assumption holds in it, too."""

WALL_HU = 40
WALL_PX = 20
"""Muscle put around a crop, and how much: the lung step knows lungs by the body around them. On the
60 slices of `ct-controls` 8 pixels or 40 make no difference."""


@dataclass(frozen=True, slots=True)
class Control:
    """What would be reported of one slice without lesions.

    Attributes:
        share: of the lungs' pixels that are lesion, 0..1.
        lesions: connected parts.
    """

    share: float
    lesions: int


def measure_control(image: NDArray[np.float32], found: NDArray[np.bool_]) -> Control | None:
    """Measure what is found in one control; None where no lung is found, so nothing is reported.

    Args:
        image: [h, w], 0..1 over `WINDOW_HU`, cropped to the lungs or whole.
        found: [h, w], inside the lungs or not.
    """
    lungs = served_lungs(image)
    if not lungs.any():
        return None
    inside = found & lungs
    pieces = components(inside.astype(np.uint8))[1]
    return Control(np.count_nonzero(inside) / np.count_nonzero(lungs), len(pieces))


def served_lungs(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark the lungs [h, w] that a pipeline would find in one picture [h, w] of 0..1."""
    low, high = WINDOW_HU
    hu = np.rint(low + image * (high - low)).astype(np.int16)
    walled = np.pad(hu, WALL_PX, constant_values=WALL_HU)
    # Rows of the affine are x, y, z; its columns are steps along z, y, x.
    affine = np.array([[0, 0, PIXEL_MM, 0], [0, PIXEL_MM, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    mask = find_lungs(Volume(walled[None], affine, ("",))).mask[0]
    lungs: NDArray[np.bool_] = mask[WALL_PX:-WALL_PX, WALL_PX:-WALL_PX] > 0
    return lungs
