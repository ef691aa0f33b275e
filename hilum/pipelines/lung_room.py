# SPDX-License-Identifier: Apache-2.0
"""Say where in the chest one lung should lie, from the ribs, the diaphragm and the other lung.

A lung fills the room inside the ribs, above the diaphragm and beside the mediastinum. The ribs are
seen. The diaphragm is a dome: where air still reaches it, its height is seen, and the rest follows
from the dome of the other side or from the usual one. The mediastinum is seen from the other lung,
but for the heart, which leans to the left.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.findings import LEFT_LUNG
from hilum.pipelines.cavity import hull

Mask = NDArray[np.bool_]
Field = NDArray[np.floating]
Scalar = TypeVar("Scalar", bound=np.generic)

DOME_FALL_MM: Final = {"back": 75.0, "side": 50.0, "front": 30.0}
"""How far the diaphragm falls from the top of its dome to the ribs; about what adults show at
full breath: the recess at the back is the deepest."""

DOME_SHARE: Final = 15
"""Percentile of the heights that columns of air give the dome: the deepest columns reach it."""

COLUMN_MM: Final = 25.0
"""Columns with less air than this say nothing of the diaphragm."""

RIGHT_HIGHER_MM: Final = 10.0
"""The right dome stands over the liver, higher than the left one by about this much."""

DOME_ERROR_MM: Final = 25.0
"""A dome seen further than this from where the other side expects it is not the diaphragm."""

HEART_HEIGHT_MM: Final = 100.0
"""The heart narrows upwards and ends about this far above the dome."""

HEART_WIDTH: Final = 0.62
"""How far an adult's heart reaches to the left, as a share of that half of the chest."""

HEART_RIGHT_MM: Final = 40.0
"""How far it reaches to the right of the middle."""

HEART_BACK: Final = (0.28, 0.68)
"""From where to where the heart narrows towards the back, as shares from breastbone to back."""

VESSELS_MM: Final = 36.0
"""Half the width of the great vessels before the spine."""

AORTA_MM: Final = 26.0
GULLET_MM: Final = 16.0
"""How far what lies before the spine reaches to the left, and to the right."""

VESSELS_BACK: Final = 0.62
"""Share of the way to the back where the great vessels end and aorta and gullet are left."""

JUDGED_ABOVE_MM: Final = 25.0
JUDGED_BESIDE_MM: Final = 40.0
JUDGED_DEPTH_MM: Final = 6.0
"""Room nearer to the dome, the midline or the ribs is not judged: their places are not known
better than this."""

JUDGED_BESIDE_HEART: Final = {"left": 0.7, "right": 0.45}
"""Nor is room nearer to the midline than this share of the half, before and beside the heart."""


WALL_MM: Final = 3.0
"""From the ray's bone to the lung: the pleura and half a voxel."""

BLUR_MM: Final = {"ribs": 2.0, "diaphragm": 12.0, "apex": 3.0, "mediastinum": 6.0, "heart": 12.0}
"""Distance from a border over which the odds change e-fold: how well its place is known."""

MIRROR_MM: Final = 6.0
"""By how much a lung may reach outside the mirror image of the other."""

NEVER: Final = -4.0
"""The log-odds beyond which place alone decides."""

AIR_OUTSIDE_MM: Final = 10.0
"""Tissue with more air than this between it and the ribs is mediastinum, or a lesion inside the lung
that the closing takes."""

BESIDE_SPINE: Final = 0.15
"""Columns nearer to the midline than this share of the half show no dome."""


@dataclass(frozen=True, slots=True)
class Half:
    """One half of the chest and the air found in it, on the thinned grid.

    Attributes:
        number: RIGHT_LUNG or LEFT_LUNG.
        lung: what the threshold found, [z, y, x].
        depth_mm: distance inside the ribs, [z, y, x].
        beside_mm: distance from the midline outwards, [y, x].
        heights_mm: of the slices above the lowest, [z].
        middle: column of the midline.
        spacing_mm: z, y, x.
    """

    number: int
    lung: Mask
    depth_mm: Field
    beside_mm: Field
    heights_mm: NDArray[np.float64]
    middle: float
    spacing_mm: tuple[float, float, float]

    def mirrored(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return values, [..., x], as the other half would see them; past the border the edge."""
        columns = np.arange(values.shape[-1])
        sources = np.rint(2 * self.middle - columns).astype(int).clip(0, len(columns) - 1)
        return values[..., sources]


@dataclass(frozen=True, slots=True)
class Room:
    """Where one lung should lie.

    Attributes:
        half: what it lies in.
        backwards: share of the way from breastbone to back, of each row, [y].
        width_mm: from the midline to the ribs.
        fall_mm: how far the usual dome lies below its top, [y, x].
        columns: where enough air stands to show the diaphragm, [y, x].
        lowest_mm: height of the lowest air of each column, [y, x].
        top_mm: height of the dome, as its deepest columns show it.
    """

    half: Half
    backwards: Field
    width_mm: float
    fall_mm: Field
    columns: Mask
    lowest_mm: Field
    top_mm: float

    @property
    def is_left(self) -> bool:
        """Whether the heart leans into it."""
        return self.half.number == LEFT_LUNG

    @property
    def apex_mm(self) -> float:
        """Height of the highest air."""
        slices = np.flatnonzero(self.half.lung.any(axis=(1, 2)))
        return float(self.half.heights_mm[slices[-1]])


def measure_room(half: Half) -> Room | None:
    """Return the room of one lung, or nothing where no air shows the diaphragm."""
    columns = half.lung.sum(axis=0) * half.spacing_mm[0] > COLUMN_MM
    inside = _lower_half(half)
    if not len(inside):
        return None
    rows = [np.flatnonzero(part.any(axis=1)) for part in inside]
    front, back = (float(np.median([row[end] for row in rows])) for end in (0, -1))
    width_mm = float(np.median([half.beside_mm[part].max() for part in inside]))
    columns &= half.beside_mm > BESIDE_SPINE * width_mm
    if not columns.any():
        return None
    backwards = (np.arange(half.lung.shape[1]) - front) / max(back - front, 1.0)
    fall_mm = _usual_fall(backwards, half.beside_mm / width_mm)
    lowest_mm = half.heights_mm[half.lung.argmax(axis=0)]
    top_mm = float(np.percentile((lowest_mm + fall_mm)[columns], DOME_SHARE))
    return Room(half, backwards, width_mm, fall_mm, columns, lowest_mm, top_mm)


def _lower_half(half: Half) -> Mask:
    """Return the room inside the ribs over the lower half of the lung, where it is widest."""
    slices = np.flatnonzero(half.lung.any(axis=(1, 2)))
    if not len(slices):
        return half.lung[:0]
    low = half.depth_mm[slices[0] : slices[0] + len(slices) // 2 + 1] > WALL_MM
    lower: Mask = low[low.any(axis=(1, 2))]
    return lower


def _usual_fall(backwards: Field, outwards: Field) -> Field:
    along = 2 * backwards - 1
    deep = np.where(along > 0, DOME_FALL_MM["back"], DOME_FALL_MM["front"]) * along**2
    return DOME_FALL_MM["side"] * (2 * outwards - 1) ** 2 + deep[:, None]


def judged(room: Room, *, apex_mm: float) -> Mask:
    """Return what must be lung in any chest, [z, y, x]: clear of dome, heart, ribs and midline."""
    half, heights_mm = room.half, room.half.heights_mm[:, None, None]
    share = JUDGED_BESIDE_HEART["left" if room.is_left else "right"]
    before = (room.backwards < HEART_BACK[1])[:, None]
    heart = before & (half.beside_mm < share * room.width_mm)
    low = heights_mm < room.top_mm + HEART_HEIGHT_MM
    sure: Mask = (half.depth_mm > JUDGED_DEPTH_MM) & (half.beside_mm > JUDGED_BESIDE_MM)
    sure &= (heights_mm >= room.top_mm - room.fall_mm + JUDGED_ABOVE_MM) & (heights_mm <= apex_mm)
    return sure & ~(heart & low)


def prior(room: Room, other: Room, *, is_mirror: bool) -> Field:
    """Return how likely each voxel is lung by its place, as a log-odds, [z, y, x].

    Args:
        room: of the lung in question.
        other: of the other lung.
        is_mirror: whether the other lung is whole, so that this one may be taken to mirror it.
    """
    half = room.half
    floor_mm, top_mm = _floor(room, other, is_mirror=is_mirror)
    heights_mm = half.heights_mm[:, None, None]
    inner_mm, blur_mm = _mediastinum(room, other, top_mm, is_mirror=is_mirror)
    sides = [
        (half.depth_mm - WALL_MM) / BLUR_MM["ribs"],
        (heights_mm - floor_mm + half.spacing_mm[0] / 2) / BLUR_MM["diaphragm"],
        (half.beside_mm - inner_mm[:, :, None]) / blur_mm[:, :, None],
        (max(room.apex_mm, other.apex_mm) + half.spacing_mm[0] / 2 - heights_mm) / BLUR_MM["apex"],
    ]
    if is_mirror:
        both = other.half.lung | half.mirrored(other.half.lung)
        sides.append((_depth_in_hull(both, half.spacing_mm[1]) + MIRROR_MM) / BLUR_MM["ribs"])
    odds = np.minimum.reduce(np.broadcast_arrays(*sides))
    # Lung without air lies against the ribs or a fissure: what has air outside it is mediastinum.
    odds[_has_air_outside(half)] = NEVER
    result: Field = odds.clip(NEVER, -NEVER)
    return result


def _floor(room: Room, other: Room, *, is_mirror: bool) -> tuple[Field, float]:
    """Return the height of the diaphragm, [y, x], and of its top, mm."""
    lift_mm = -RIGHT_HIGHER_MM if room.is_left else RIGHT_HIGHER_MM
    if not is_mirror:
        top_mm = min(room.top_mm, other.top_mm + lift_mm)
        return top_mm - room.fall_mm, top_mm
    usual_mm = other.top_mm - other.fall_mm
    # Columns above the heart end on the heart, far above the diaphragm.
    seen = other.columns & (other.lowest_mm < usual_mm + 2 * RIGHT_HIGHER_MM)
    floor_mm = other.half.mirrored(np.where(seen, other.lowest_mm, usual_mm))
    shift_mm = room.top_mm - other.top_mm
    if abs(shift_mm - lift_mm) > DOME_ERROR_MM:
        shift_mm = lift_mm
    return floor_mm + shift_mm, other.top_mm + shift_mm


def _mediastinum(room: Room, other: Room, top_mm: float, *, is_mirror: bool) -> tuple[Field, Field]:
    """Return how far it reaches from the midline and how sure that is, mm, [z, y]."""
    behind = AORTA_MM if room.is_left else GULLET_MM
    vessels_mm = np.where(room.backwards < VESSELS_BACK, VESSELS_MM, behind)[None]
    heart_mm = _heart(room, top_mm)
    inner_mm = np.broadcast_to(vessels_mm, heart_mm.shape)
    if is_mirror:
        lung = room.half.mirrored(other.half.lung)
        nearest_mm = np.where(lung, room.half.beside_mm, np.inf).min(axis=2)
        inner_mm = np.where(np.isfinite(nearest_mm), nearest_mm, inner_mm)
    if room.is_left:
        is_heart = heart_mm > vessels_mm
        blur_mm = np.where(is_heart, BLUR_MM["heart"], BLUR_MM["mediastinum"])
        return np.maximum(inner_mm, heart_mm), blur_mm
    if is_mirror:
        # The left lung makes room for the heart, the right one less.
        inner_mm = np.minimum(inner_mm, np.maximum(heart_mm, vessels_mm))
    else:
        inner_mm = np.maximum(inner_mm, heart_mm)
    return inner_mm, np.full_like(heart_mm, BLUR_MM["mediastinum"])


def _heart(room: Room, top_mm: float) -> Field:
    """Return how far the heart reaches into this half, mm, [z, y]."""
    above = (room.half.heights_mm - top_mm) / HEART_HEIGHT_MM
    upwards = np.sqrt(np.clip(1 - above, 0, 1))[:, None]
    begin, end = HEART_BACK
    behind = np.clip((room.backwards - begin) / (end - begin), 0, 1)[None]
    reach_mm = HEART_WIDTH * room.width_mm if room.is_left else HEART_RIGHT_MM
    heart: Field = reach_mm * upwards * np.sqrt(1 - behind**2)
    return heart


def _depth_in_hull(lungs: Mask, pixel_mm: float) -> Field:
    """Return how deep each voxel lies in the hull around both lungs of its slice, mm."""
    depth_mm = np.full(lungs.shape, -np.inf)
    for z in np.flatnonzero(lungs.any(axis=(1, 2))):
        whole = hull(lungs[z])
        depth_mm[z] = ndimage.distance_transform_edt(whole) * pixel_mm
        depth_mm[z] -= ndimage.distance_transform_edt(~whole) * pixel_mm
    return depth_mm


def _has_air_outside(half: Half) -> Mask:
    """Tell where the way out to the ribs crosses lung with air in it, [z, y, x]."""
    is_first = half.beside_mm[0, 0] > 0
    air = half.lung if is_first else half.lung[..., ::-1]
    crossed_mm = np.cumsum(air, axis=2) * half.spacing_mm[2]
    beyond: Mask = (crossed_mm if is_first else crossed_mm[..., ::-1]) > AIR_OUTSIDE_MM
    return beyond
