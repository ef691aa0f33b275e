# SPDX-License-Identifier: Apache-2.0
"""What lies below the diaphragm: liver, spleen, stomach, and the gas of the bowel."""

from typing import Final

import numpy as np

from hilum.phantom.shapes import ellipse, ellipsoid, fraction, nowhere, paint
from hilum.phantom.space import Field, Plane
from hilum.phantom.tissues import BOWEL_HU, FAT_HU, GAS_HU, LIVER_HU, SPLEEN_HU, STOMACH_HU

LOOPS: Final = (
    # middle x, y, z; radii x, y, z
    ((-72.0, -62.0, -112.0), (34.0, 21.0, 24.0)),
    ((-20.0, -74.0, -128.0), (40.0, 18.0, 22.0)),
    ((58.0, -64.0, -122.0), (38.0, 22.0, 26.0)),
    ((100.0, -8.0, -108.0), (21.0, 40.0, 30.0)),
)
"""Loops of a blown-up colon under both domes."""

HAUSTRA_MM: Final = 13.0
"""Distance between the folds of the colon."""


def paint_abdomen(image: Field, plane: Plane, wall: Field, *, bowel_gas: bool) -> None:
    """Paint the upper abdomen inside the ribs; the lungs come on top."""
    within = fraction(wall + 2.5)
    paint(image, within, FAT_HU)
    liver = np.maximum(ellipse(plane, (-46.0, -6.0), (98.0, 88.0), power=2.4), wall + 4.0)
    spleen = np.maximum(ellipse(plane, (88.0, 42.0), (34.0, 46.0), turn_deg=18.0), wall + 4.0)
    paint(image, within * fraction(spleen), SPLEEN_HU)
    paint(image, within * fraction(liver), LIVER_HU)
    _paint_stomach(image, plane)
    if bowel_gas:
        _paint_loops(image, plane, wall)


def _paint_stomach(image: Field, plane: Plane) -> None:
    stomach = ellipsoid(plane, (62.0, -30.0, -108.0), (40.0, 40.0, 46.0), turn_deg=20.0)
    paint(image, fraction(stomach), BOWEL_HU)
    paint(image, fraction(stomach + 4.0), STOMACH_HU)
    # The patient lies on the back, so the bubble floats to the front.
    bubble = np.maximum(stomach + 5.0, plane.y_mm + 52.0)
    paint(image, fraction(bubble), GAS_HU)


def _paint_loops(image: Field, plane: Plane, wall: Field) -> None:
    loops = nowhere(plane)
    for middle, radii in LOOPS:
        loops = np.minimum(loops, ellipsoid(plane, middle, radii))
    folds = 2.2 * np.cos(2 * np.pi * (plane.x_mm + 0.6 * plane.y_mm) / HAUSTRA_MM)
    gas = np.maximum(loops + 3.0 + np.maximum(folds, 0), wall + 7.0)
    paint(image, fraction(np.maximum(loops, wall + 4.0)), BOWEL_HU)
    paint(image, fraction(gas), GAS_HU)
