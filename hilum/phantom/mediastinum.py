# SPDX-License-Identifier: Apache-2.0
"""What lies between the lungs: heart, great vessels, gullet, and the fat that holds them."""

from typing import Final

import numpy as np

from hilum.phantom.shapes import (
    Table,
    at_height,
    ellipse,
    ellipsoid,
    fraction,
    melt,
    nowhere,
    paint,
)
from hilum.phantom.space import Field, Plane
from hilum.phantom.tissues import BLOOD_HU, HEART_HU, MIXED_FAT_HU

CORE: Final[Table] = (
    # height, middle x, middle y, half width, half depth
    (-130.0, 8.0, 18.0, 26.0, 62.0),
    (-60.0, 9.0, 0.0, 17.0, 78.0),
    (0.0, 5.0, -18.0, 28.0, 76.0),
    (40.0, 3.0, -12.0, 35.0, 70.0),
    (70.0, 1.0, -4.0, 36.0, 60.0),
    (95.0, 0.0, 8.0, 38.0, 50.0),
    (125.0, 0.0, 20.0, 46.0, 46.0),
    (154.0, 0.0, 24.0, 60.0, 50.0),
)
"""The outline without the heart."""

HEART: Final = ((31.0, -41.0, -42.0), (64.0, 52.0, 68.0))
"""Middle and radii, as x, y, z."""

HILA: Final = (((-36.0, 2.0, 12.0), (14.0, 17.0, 30.0)), ((37.0, 4.0, 18.0), (13.0, 17.0, 28.0)))
"""Where vessels and bronchi enter the right and the left lung."""

TUBES: Final[tuple[tuple[str, Table], ...]] = (
    # height, middle x, middle y, radius; the tube exists between its first and last height
    ("aorta, ascending", ((-8.0, -4.0, -44.0, 17.0), (64.0, -12.0, -36.0, 16.0))),
    ("aorta, descending", ((-154.0, 10.0, 40.0, 11.5), (-60.0, 19.0, 43.0, 12.0), (66.0, 20.0, 38.0, 12.5))),
    ("pulmonary trunk", ((-8.0, 22.0, -58.0, 15.0), (34.0, 28.0, -36.0, 15.0))),
    ("superior vena cava", ((-14.0, -30.0, -26.0, 10.0), (120.0, -24.0, -20.0, 9.0))),
    ("left atrium", ((-46.0, 4.0, 2.0, 22.0), (2.0, 2.0, 4.0, 18.0))),
    ("artery to the head", ((78.0, -6.0, -20.0, 7.0), (154.0, -18.0, -4.0, 5.0))),
    ("artery to the left arm", ((78.0, 18.0, -2.0, 6.0), (154.0, 30.0, 8.0, 5.0))),
)  # fmt: skip


OUTLINED: Final = frozenset({"aorta, ascending", "aorta, descending", "superior vena cava"})
"""The tubes that bulge into a lung."""

FAT_PAD: Final = ((26.0, -84.0, -66.0), (46.0, 16.0, 44.0))
"""Between heart and breastbone."""


def mediastinum(plane: Plane, wall: Field) -> Field:
    """Return the distance to what the lungs lie against, inside the ribs, without the spine."""
    x, y, width, depth = at_height(CORE, plane.z_mm)
    parts = [ellipse(plane, (x, y), (width, depth), power=1.6), _heart(plane), _arch(plane)]
    parts += [ellipsoid(plane, middle, radii) for middle, radii in (*HILA, FAT_PAD)]
    parts += [_tube(plane, table) for name, table in TUBES if name in OUTLINED]
    parts.append(_septum(plane))
    return np.maximum(melt(*parts, over_mm=3.5), wall)


def paint_mediastinum(image: Field, plane: Plane, outline: Field) -> None:
    """Paint the fat, then what it holds."""
    paint(image, fraction(outline), MIXED_FAT_HU)
    heart = _heart(plane)
    paint(image, fraction(heart + 4.0), HEART_HU)
    for _, table in TUBES:
        paint(image, fraction(_tube(plane, table)), BLOOD_HU)
    paint(image, fraction(_arch(plane)), BLOOD_HU)
    paint(image, fraction(ellipse(plane, (4.0, 36.0), (8.0, 6.0))), HEART_HU)


def _heart(plane: Plane) -> Field:
    middle, radii = HEART
    return ellipsoid(plane, middle, radii, turn_deg=-28.0)


def _tube(plane: Plane, table: Table) -> Field:
    if not table[0][0] <= plane.z_mm <= table[-1][0]:
        return nowhere(plane)
    x, y, radius = at_height(table, plane.z_mm)
    return ellipse(plane, (x, y), (radius, radius))


def _arch(plane: Plane) -> Field:
    """Return the distance to the arch of the aorta, which crosses from front right to back left."""
    return ellipsoid(plane, (5.0, 0.0, 68.0), (34.0, 15.0, 13.0), turn_deg=62.0)


def _septum(plane: Plane) -> Field:
    """Return the distance to the thin sheet where the lungs meet before the heart."""
    sheet: Field = np.maximum(np.abs(plane.x_mm - 3.0) - 0.8, plane.y_mm + 40.0)
    return sheet
