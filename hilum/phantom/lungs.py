# SPDX-License-Identifier: Apache-2.0
"""Two lungs: the room that wall, mediastinum, spine and diaphragm leave them, and their tissue."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom.shapes import fraction
from hilum.phantom.space import Field, Plane

LUNG_HU: Final = -878.0
"""Healthy lung at full breath, at the height of the trachea."""

GRAVITY_HU_PER_MM: Final = 0.42
"""Lung grows denser towards the back of a patient who lies on it."""

COARSE_HU: Final = 9.0
FINE_HU: Final = 16.0
"""Deviation of the lung's own texture, from lobule to lobule and within."""

FISSURE_HU: Final = 45.0
"""What the thin sheet between lobes adds to a slice."""

FISSURE_SLOPE: Final = 1.25
"""It climbs from the front of the base to the back of the apex."""

BASE_MM: Final = -124.0
"""Lowest point of the pleural recess."""

PLEURA_MM: Final = 1.2
"""Between ribs and lung."""


DOME_BLUR: Final = 0.4
"""Share of a slice's thickness over which the diaphragm blurs."""


@dataclass(frozen=True, slots=True)
class Dome:
    """One half of the diaphragm.

    Attributes:
        x_mm, y_mm: where it is highest.
        top_mm: how high.
        width_mm, depth_mm: where it has fallen to the recess.
    """

    x_mm: float
    y_mm: float
    top_mm: float
    width_mm: float
    depth_mm: float


DOMES: Final = {
    RIGHT_LUNG: Dome(-62.0, -22.0, -44.0, 76.0, 116.0),
    LEFT_LUNG: Dome(62.0, -20.0, -58.0, 76.0, 118.0),
}
"""The right one is higher, over the liver."""


def lung_fraction(plane: Plane, lung: int, *, wall: Field, middle: Field, spine: Field) -> Field:
    """Return how much of each pixel one lung takes, 0..1.

    Args:
        plane: the slice.
        lung: RIGHT_LUNG or LEFT_LUNG.
        wall: distance to the inside of the ribs.
        middle: distance to the mediastinum.
        spine: distance to the spine.
    """
    outwards = -plane.x_mm if lung == RIGHT_LUNG else plane.x_mm
    border = np.maximum.reduce([wall + PLEURA_MM, -middle, -spine, -outwards])
    return fraction(border) * _above_diaphragm(plane, DOMES[lung])


def _above_diaphragm(plane: Plane, dome: Dome) -> Field:
    across = (plane.x_mm - np.float32(dome.x_mm)) / np.float32(dome.width_mm)
    along = (plane.y_mm - np.float32(dome.y_mm)) / np.float32(dome.depth_mm)
    fall = (across**2 + along**2) ** np.float32(1.15)
    floor = dome.top_mm - (dome.top_mm - BASE_MM) * np.minimum(fall, 1.6)
    # A thick slice across the dome holds lung and liver at once.
    blur_mm = DOME_BLUR * plane.thickness_mm
    share: Field = np.clip(0.5 + (plane.z_mm - np.maximum(floor, BASE_MM)) / blur_mm, 0, 1)
    return share


def fissure(plane: Plane) -> Field:
    """Return the height above the oblique fissure in millimetres; negative in the lower lobe."""
    bulge = 10.0 * np.cos(plane.x_mm / np.float32(38.0))
    height: Field = plane.z_mm - np.float32(FISSURE_SLOPE) * (plane.y_mm - bulge + 8.0)
    return height


def tissue_hu(plane: Plane, *, coarse: Field, fine: Field) -> Field:
    """Return the density of healthy lung, without its vessels.

    Args:
        plane: the slice.
        coarse: noise of some centimetres.
        fine: noise of some millimetres.
    """
    gravity = np.float32(GRAVITY_HU_PER_MM) * plane.y_mm
    above: Field = np.abs(fissure(plane))
    # The sheet is thinner than a slice and crosses it aslant, so it blurs over its thickness.
    sheet = fraction(above - plane.thickness_mm / 3, edge_mm=plane.thickness_mm)
    hu: Field = LUNG_HU + gravity + COARSE_HU * coarse + FINE_HU * fine + FISSURE_HU * sheet
    return hu
