# SPDX-License-Identifier: Apache-2.0
"""Follow the trachea down to its branches, so that it does not count as lung or join the lungs."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

AIRWAY_HU = -850
"""Below it a voxel may be the lumen of a large airway."""

TRACHEA_MM2 = (40.0, 800.0)
"""Cross-section of an adult trachea, generously."""

GROWTH = 2.0
"""A cross-section that grows by this factor from one slice to the next has leaked into the lung."""

CENTRAL = 0.2
"""The trachea lies within this share of the body's width of its middle."""


def find_airway(hu: NDArray[np.int16], air: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Return the trachea and the stems of the main bronchi.

    Args:
        hu: [z, y, x], z towards the head.
        air: air inside the body, [z, y, x].
        spacing_mm: z, y, x.
    """
    airway = np.zeros_like(air)
    lumen = air & (hu < AIRWAY_HU)
    pixel_mm2 = spacing_mm[1] * spacing_mm[2]
    current = np.zeros(air.shape[1:], bool)
    for z in range(len(hu) - 1, len(hu) // 3, -1):
        labels, count = ndimage.label(lumen[z])
        if count == 0:
            continue
        current = (
            _follow(labels, current, pixel_mm2) if current.any() else _start(labels, pixel_mm2)
        )
        airway[z] = current
    # The wall is thin and half air: it goes with the lumen.
    result: Mask = airway | np.stack(
        [air[z] & ndimage.binary_dilation(airway[z]) for z in range(len(hu))]
    )
    return result


def _start(labels: NDArray[np.signedinteger], pixel_mm2: float) -> Mask:
    """Return the trachea where it first shows: central, round, of the right size."""
    width = labels.shape[1]
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        part = labels[rows, columns] == number
        area_mm2 = part.sum() * pixel_mm2
        off_centre = abs((columns.start + columns.stop) / 2 - width / 2) / width
        is_round = part.mean() > 0.6 and 0.5 < part.shape[0] / part.shape[1] < 2.0  # noqa: PLR2004 - a circle fills 0.79 of its box
        low, high = TRACHEA_MM2
        if low < area_mm2 < high and off_centre < CENTRAL and is_round:
            found: Mask = labels == number
            return found
    return np.zeros(labels.shape, bool)


def _follow(labels: NDArray[np.signedinteger], above: Mask, pixel_mm2: float) -> Mask:
    """Return what continues the airway in the next slice down; nothing once it leaks."""
    touched = np.unique(labels[above])
    touched = touched[touched > 0]
    below: Mask = np.isin(labels, touched)
    limit_mm2 = min(GROWTH * above.sum() * pixel_mm2, TRACHEA_MM2[1])
    return below if below.sum() * pixel_mm2 <= limit_mm2 else below & False
