# SPDX-License-Identifier: Apache-2.0
"""The bones of the chest: ribs, breastbone, collarbones, shoulder blades and spine."""

from typing import Final

import numpy as np

from hilum.phantom.shapes import at_height, ellipse, fraction, melt, paint
from hilum.phantom.space import Field, Plane
from hilum.phantom.thorax import CAVITY, around
from hilum.phantom.tissues import (
    CANAL_HU,
    CARTILAGE_HU,
    CORTEX_HU,
    DISC_HU,
    MARROW_HU,
    MUSCLE_HU,
)

CORTEX_MM: Final = 1.8
"""Thickness of the dense shell of a bone."""

RIB_STEP_MM: Final = 25.0
RIB_HALF_HEIGHT_MM: Final = 6.5
RIB_HALF_WIDTH_MM: Final = 4.2
RIB_DEPTH_MM: Final = 6.0
RIB_DROP_MM: Final = 80.0
"""Ribs fall from the spine to the breastbone by three of their distances."""

RIB_BONE: Final = (0.10, 0.80)
"""From where to where around the chest a rib is bone; in front of it lies cartilage."""

STERNUM: Final = ((-40.0, 8.0), (-20.0, 17.0), (50.0, 17.0), (95.0, 30.0))
"""Height and half width of the breastbone."""

COLLARBONES_MM: Final = (92.0, 124.0)
"""Heights between which they cross the slices."""

BLADES: Final = ((10.0, 0.05), (60.0, 0.13), (154.0, 0.16))
"""Height and half length, as a share of the way around the chest, of a shoulder blade."""

SPINE_Y_MM: Final = 69.0
"""Middle of the vertebral bodies."""

VERTEBRA_STEP_MM: Final = 25.0
DISC: Final = 0.2
"""Share of that distance that a disc takes."""

DISC_SHARE: Final = 0.5
"""A slice is thicker than a disc and shows the bone beside it."""

PROCESSES: Final = 0.5
"""Share of that distance above which the processes stand out sideways."""


def paint_bones(image: Field, plane: Plane, *, wall: Field, skin: Field) -> None:
    """Paint every bone that the plane crosses."""
    _paint_shoulder_blades(image, plane, wall)
    _paint_ribs(image, plane, wall)
    _paint_sternum(image, plane)
    _paint_collarbones(image, plane)
    _paint_spine(image, plane, skin)


def spine(plane: Plane) -> Field:
    """Return the distance to the spine with the tissue that binds it."""
    body = ellipse(plane, (0.0, SPINE_Y_MM + 1.0), (21.5, 18.5))
    arch = ellipse(plane, (0.0, SPINE_Y_MM + 36.0), (40.0, 28.0))
    return melt(body, arch, over_mm=4.0)


def _paint_bone(image: Field, distance: Field) -> None:
    paint(image, fraction(distance), CORTEX_HU)
    paint(image, fraction(distance + CORTEX_MM), MARROW_HU)


def _paint_ribs(image: Field, plane: Plane, wall: Field) -> None:
    way = around(plane)
    drop = np.float32(RIB_DROP_MM) * (1 - np.cos(np.pi * way)) / 2
    # Each rib is a band of the shell around the cavity, inclined by its drop.
    high = np.mod(plane.z_mm + drop, RIB_STEP_MM) - np.float32(RIB_STEP_MM / 2)
    deep = (wall - RIB_DEPTH_MM) / RIB_HALF_WIDTH_MM
    distance = RIB_HALF_WIDTH_MM * (np.hypot(deep, high / RIB_HALF_HEIGHT_MM) - 1)
    begin, end = RIB_BONE
    rib = fraction(distance, edge_mm=1.2) * (way > begin)
    paint(image, rib, CARTILAGE_HU)
    paint(image, rib * (way < end), CORTEX_HU)
    paint(image, rib * (way < end) * fraction(distance + CORTEX_MM, edge_mm=1.2), MARROW_HU)


def _paint_sternum(image: Field, plane: Plane) -> None:
    if not STERNUM[0][0] < plane.z_mm < STERNUM[-1][0]:
        return
    _, depth, y = at_height(CAVITY, plane.z_mm)
    (half_width,) = at_height(STERNUM, plane.z_mm)
    _paint_bone(image, ellipse(plane, (0.0, y - depth - 7.0), (half_width, 6.5), power=3.0))


def _paint_collarbones(image: Field, plane: Plane) -> None:
    low, high = COLLARBONES_MM
    if not low < plane.z_mm < high:
        return
    _, depth, y = at_height(CAVITY, plane.z_mm)
    above = plane.z_mm - low
    for side in (-1.0, 1.0):
        middle = (side * (30.0 + 2.6 * above), y - depth - 9.0 + 0.5 * above)
        _paint_bone(image, ellipse(plane, middle, (20.0, 6.0), turn_deg=side * 25.0))


def _paint_shoulder_blades(image: Field, plane: Plane, wall: Field) -> None:
    if plane.z_mm < BLADES[0][0]:
        return
    off = around(plane) - np.float32(0.29)
    (reach,) = at_height(BLADES, plane.z_mm)
    plate = np.abs(wall - 24.0 - 40.0 * off) - np.float32(2.6)
    # Half way around the chest are some 130 mm.
    _paint_bone(image, np.maximum(plate, 130.0 * (np.abs(off) - np.float32(reach))))


def _paint_spine(image: Field, plane: Plane, skin: Field) -> None:
    paint(image, fraction(np.maximum(spine(plane), skin + 6.0)), MUSCLE_HU)
    vertebral = ellipse(plane, (0.0, SPINE_Y_MM), (18.5, 15.5), power=2.4)
    level = (plane.z_mm % VERTEBRA_STEP_MM) / VERTEBRA_STEP_MM
    _paint_bone(image, vertebral)
    if level < DISC:
        paint(image, DISC_SHARE * fraction(vertebral), DISC_HU)
    _paint_arch(image, plane)
    if level > PROCESSES:
        _paint_processes(image, plane)
    paint(image, fraction(ellipse(plane, (0.0, SPINE_Y_MM + 22.0), (10.0, 8.5))), CANAL_HU)


def _paint_arch(image: Field, plane: Plane) -> None:
    arch = ellipse(plane, (0.0, SPINE_Y_MM + 23.0), (14.0, 12.5))
    process = ellipse(plane, (0.0, SPINE_Y_MM + 45.0), (3.2, 13.0))
    _paint_bone(image, np.minimum(arch, process))


def _paint_processes(image: Field, plane: Plane) -> None:
    for side in (-1.0, 1.0):
        middle = (side * 25.0, SPINE_Y_MM + 26.0)
        _paint_bone(image, ellipse(plane, middle, (15.0, 4.8), turn_deg=side * 22.0))
