# SPDX-License-Identifier: Apache-2.0
"""The chest wall: the room inside the ribs, skin, fat and muscle, and the table below."""

from typing import Final

import numpy as np

from hilum.phantom.shapes import Table, at_height, ellipse, fraction, paint
from hilum.phantom.space import Field, Plane
from hilum.phantom.tissues import FAT_HU, MUSCLE_HU, SKIN_HU, TABLE_HU

CAVITY: Final[Table] = (
    # height, half width, half depth, middle y
    (-154.0, 124.0, 92.0, -2.0),
    (-100.0, 129.0, 98.0, -1.0),
    (-40.0, 131.0, 101.0, 0.0),
    (20.0, 127.0, 97.0, 2.0),
    (60.0, 115.0, 87.0, 7.0),
    (90.0, 95.0, 70.0, 15.0),
    (110.0, 73.0, 53.0, 22.0),
    (124.0, 48.0, 36.0, 28.0),
    (132.0, 26.0, 22.0, 32.0),
    (154.0, 20.0, 20.0, 34.0),
)
"""The inside of the ribs; proportions of an adult at full breath."""

BODY: Final[Table] = (
    # height, half width, half depth, middle y
    (-154.0, 158.0, 121.0, 4.0),
    (-40.0, 163.0, 127.0, 4.0),
    (40.0, 168.0, 126.0, 4.0),
    (90.0, 184.0, 110.0, 12.0),
    (120.0, 192.0, 92.0, 20.0),
    (154.0, 168.0, 78.0, 28.0),
)
"""The skin; arms are up."""

MUSCLES: Final[tuple[tuple[float, float, Table], ...]] = (
    # way around the chest where it is thickest, half width there, height and thickness
    (0.80, 0.16, ((0.0, 2.0), (60.0, 16.0))),
    (0.38, 0.24, ((-120.0, 5.0), (0.0, 12.0), (60.0, 26.0), (120.0, 70.0))),
    (0.00, 0.15, ((0.0, 30.0),)),
)
"""On the ribs: of the breast, of the broad back and the shoulder, along the spine."""

RIB_CAGE_MM: Final = 13.0
"""Thickness of the ribs with the muscles between them."""

SKIN_MM: Final = 2.0
FAT_MM: Final = 7.0
"""Least depth at which muscle begins."""

TABLE_SHELLS_MM: Final = (138.0, 168.0)
TABLE_SAG: Final = 0.0011
TABLE_HALF_WIDTH_MM: Final = 188.0


def cavity(plane: Plane) -> Field:
    """Return the distance to the inside of the ribs."""
    width, depth, y = at_height(CAVITY, plane.z_mm)
    return ellipse(plane, (0.0, y), (width, depth), power=2.3)


def body(plane: Plane) -> Field:
    """Return the distance to the skin."""
    width, depth, y = at_height(BODY, plane.z_mm)
    return ellipse(plane, (0.0, y), (width, depth), power=2.5)


def around(plane: Plane) -> Field:
    """Return the way around the chest: 0 at the spine, 1 at the breastbone, alike on both sides."""
    angle = np.arctan2(np.abs(plane.x_mm), plane.y_mm - np.float32(8.0))
    way: Field = angle / np.float32(np.pi)
    return way


def paint_soft_wall(image: Field, plane: Plane, *, wall: Field, skin: Field) -> None:
    """Paint everything from the skin inwards that is not bone."""
    paint(image, fraction(skin), SKIN_HU)
    paint(image, fraction(skin + SKIN_MM), FAT_HU)
    paint(image, _muscle(plane, wall) * fraction(skin + FAT_MM), MUSCLE_HU)


def paint_table(image: Field, plane: Plane, skin: Field) -> None:
    """Paint the two shells of a curved table below the body."""
    sag = np.float32(TABLE_SAG) * plane.x_mm**2
    for top_mm in TABLE_SHELLS_MM:
        shell = np.abs(plane.y_mm - np.float32(top_mm) + sag) - np.float32(1.2)
        side = np.abs(plane.x_mm) - np.float32(TABLE_HALF_WIDTH_MM)
        outside = 1 - fraction(skin - SKIN_MM)
        paint(image, fraction(np.maximum(shell, side)) * outside, TABLE_HU)


def _muscle(plane: Plane, wall: Field) -> Field:
    way = around(plane)
    thick = np.full_like(wall, RIB_CAGE_MM)
    for middle, width, table in MUSCLES:
        (thickness_mm,) = at_height(table, plane.z_mm)
        thick += thickness_mm * np.exp(-(((way - middle) / width) ** 2))
    # A sheet of fat parts the outer muscles from the ribs.
    seam = fraction(np.abs(wall - RIB_CAGE_MM - 1.5) - 0.8)
    share: Field = fraction(wall - thick) * (1 - 0.6 * seam)
    return np.maximum(fraction(wall - RIB_CAGE_MM), share)
