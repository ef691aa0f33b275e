# SPDX-License-Identifier: Apache-2.0
"""Find the room inside the ribs, on either side of the spine, whether or not air fills it.

From the middle of each half of the chest rays run outwards to the first bone. Ribs slope, so most
rays of one slice pass between two of them: the nearest bone within half a rib's distance up or
down counts. What leaks out through a wider gap is cut by an opening over angle and height.
"""

from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.pipelines.cavity import BONE_FILTER_MM, hull

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]

RIB_HU: Final = 150
"""Above it, averaged over neighbours, a voxel is bone; a rib fills part of the average only."""

BONE_DEPTH_MM: Final = 50.0
"""Ribs under the shoulder blades lie this deep inside the hull of all bones; contrast-filled heart
and vessels deeper."""

SMALLEST_BONE_MM2: Final = 30.0
"""Smaller bright specks are calcifications, leads or noise."""

RAYS: Final = 120
RAY_MM: Final = 170.0
"""Rays from the middle of one half of the chest, and their length: half the width of a large one."""

RAY_STEP_MM: Final = 2.0

RIB_STEP_MM: Final = 12.0
"""Half the distance between two ribs, up and down."""

AROUND: Final[tuple[Literal["nearest"], Literal["wrap"]]] = ("nearest", "wrap")
"""How [z, ray] goes on beyond its ends: slices end, rays go around."""

LEAK_RAYS: Final = 11
"""Gaps narrower than these rays, 33 degrees, are between bones and not a corner of the chest."""

SMOOTH_MM: Final = 15.0
"""Over which the middle of the chest moves evenly from slice to slice."""


def find_bones(
    hu: NDArray[np.int16],
    body: Mask,
    thinning: tuple[int, int, int],
    spacing_mm: tuple[float, float, float],
) -> Mask:
    """Return ribs, spine and breastbone on a grid thinned out by `thinning`, [z, y, x].

    Args:
        hu: [z, y, x].
        body: the trunk, [z, y, x].
        thinning: voxels that become one, along z, y and x.
        spacing_mm: of the grid before, z, y, x.
    """
    width = max(1, round(BONE_FILTER_MM / spacing_mm[1]))
    dense = body & (ndimage.uniform_filter(hu, (1, width, width)) > RIB_HU)
    # Any bone of a block counts: averaging would lose thin ribs.
    dense = np.logical_or.reduce(blocks(dense, thinning), axis=(1, 3, 5))
    pixel_mm = spacing_mm[1] * thinning[1]
    return np.stack([_near_the_wall(part, pixel_mm) for part in dense])


def blocks(voxels: NDArray[np.generic], thinning: tuple[int, int, int]) -> NDArray[np.generic]:
    """Return voxels in blocks, [z, in z, y, in y, x, in x]; what fills no block is left out."""
    sizes = [length // step for length, step in zip(voxels.shape, thinning, strict=True)]
    whole = tuple(slice(size * step) for size, step in zip(sizes, thinning, strict=True))
    shape = [part for pair in zip(sizes, thinning, strict=True) for part in pair]
    return voxels[whole].reshape(shape)


def _near_the_wall(dense: Mask, pixel_mm: float) -> Mask:
    """Drop what lies deep inside a slice [y, x]: contrast-filled heart and vessels."""
    labels, count = ndimage.label(dense, np.ones((3, 3)))
    if count == 0:
        return dense
    # A coarse distance tells a rib from a heart, and costs a fraction of the exact one.
    depth = ndimage.distance_transform_cdt(np.pad(hull(dense), 1))[1:-1, 1:-1]
    kept = np.bincount(labels.ravel()) * pixel_mm**2 > SMALLEST_BONE_MM2
    near = np.bincount(labels[depth * pixel_mm < BONE_DEPTH_MM], minlength=count + 1) > 0
    kept[0] = False
    bones: Mask = (kept & near)[labels]
    return bones


def find_midline(bones: Mask, lungs: Mask) -> float:
    """Return the column halfway between the outermost bones, over the slices with lung."""
    spans = [np.flatnonzero(bones[z].any(axis=0)) for z in np.flatnonzero(lungs.any(axis=(1, 2)))]
    return float(np.median([(span[0] + span[-1]) / 2 for span in spans if len(span)]))


def cage_depth(
    bones: Mask,
    lungs: Mask,
    *,
    middle: float,
    outwards: int,
    spacing_mm: tuple[float, float, float],
) -> Field:
    """Return how deep each voxel lies inside the ribs of one half of the chest, mm, [z, y, x].

    Args:
        bones: [z, y, x].
        lungs: air of both lungs, [z, y, x].
        middle: column between the halves.
        outwards: -1 for the half at small x, 1 for the other.
        spacing_mm: z, y, x.
    """
    origins = _origins(bones, lungs, middle, outwards, spacing_mm)
    rays_mm = np.stack(
        [_first_hits(part, origin, spacing_mm) for part, origin in zip(bones, origins, strict=True)]
    )
    walls_mm = _close_gaps(rays_mm, spacing_mm[0])
    depth_mm = np.stack(
        [
            _depth(wall, origin, bones.shape[1:], spacing_mm)
            for wall, origin in zip(walls_mm, origins, strict=True)
        ]
    )
    beside = outwards * (np.arange(bones.shape[2]) - middle) <= 0
    depth_mm[:, :, beside] = -RAY_MM
    return depth_mm


def _origins(
    bones: Mask,
    lungs: Mask,
    middle: float,
    outwards: int,
    spacing_mm: tuple[float, float, float],
) -> NDArray[np.float64]:
    """Return the middle of one half of the chest in every slice, [z, (y, x)]."""
    rows, reach = np.full((2, len(bones)), np.nan)
    for z in range(len(bones)):
        down, across = np.flatnonzero(bones[z].any(1)), np.flatnonzero(lungs[z].any(0))
        if len(down):
            rows[z] = (down[0] + down[-1]) / 2
        if len(across):
            reach[z] = max(middle - across[0], across[-1] - middle)
    columns = middle + outwards * 0.5 * _even(reach, spacing_mm[0])
    return np.stack([_even(rows, spacing_mm[0]), columns], axis=1)


def _even(values: NDArray[np.float64], slice_mm: float) -> NDArray[np.float64]:
    known = np.flatnonzero(~np.isnan(values))
    filled = np.interp(np.arange(len(values)), known, values[known])
    smooth: NDArray[np.float64] = ndimage.gaussian_filter1d(filled, SMOOTH_MM / slice_mm)
    return smooth


def _first_hits(
    bones: Mask, origin: NDArray[np.float64], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Return the distance to the first bone of a slice along each ray, mm; infinite for none."""
    angles = np.linspace(-np.pi, np.pi, RAYS, endpoint=False)[:, None]
    along_mm = np.arange(0, RAY_MM, RAY_STEP_MM)
    rows = np.rint(origin[0] + np.sin(angles) * along_mm / spacing_mm[1]).astype(int)
    columns = np.rint(origin[1] + np.cos(angles) * along_mm / spacing_mm[2]).astype(int)
    hit = bones[rows.clip(0, bones.shape[0] - 1), columns.clip(0, bones.shape[1] - 1)]
    return np.where(hit.any(axis=1), along_mm[hit.argmax(axis=1)], np.inf)


def _close_gaps(rays_mm: NDArray[np.float64], slice_mm: float) -> NDArray[np.float64]:
    """Return the wall along each ray, [z, ray], between the ribs as at the ribs."""
    height = 2 * max(1, round(RIB_STEP_MM / slice_mm)) + 1
    walls_mm = np.minimum(rays_mm, 2 * RAY_MM)
    # An opening: what is longer than its neighbours along z and around is a gap.
    walls_mm = ndimage.minimum_filter(walls_mm, (height, LEAK_RAYS), mode=AROUND)
    walls_mm = ndimage.maximum_filter(walls_mm, (height, LEAK_RAYS), mode=AROUND)
    walls_mm = ndimage.minimum_filter(walls_mm, (1, 3), mode=AROUND)
    return np.stack([_fill_open_rays(wall) for wall in walls_mm])


def _fill_open_rays(wall_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give rays that met no bone, as before the costal arch, the length between their neighbours."""
    known = np.flatnonzero(wall_mm < RAY_MM)
    if not len(known):
        return np.zeros_like(wall_mm)
    turns = np.concatenate([known - RAYS, known, known + RAYS])
    filled: NDArray[np.float64] = np.interp(np.arange(RAYS), turns, np.tile(wall_mm[known], 3))
    return filled


def _depth(
    wall_mm: NDArray[np.float64],
    origin: NDArray[np.float64],
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
) -> Field:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    down_mm, across_mm = (rows - origin[0]) * spacing_mm[1], (columns - origin[1]) * spacing_mm[2]
    turn = (np.arctan2(down_mm, across_mm) + np.pi) / (2 * np.pi) * RAYS
    # Between two rays in proportion, as np.interp does at four times the price.
    ray = turn.astype(int)
    part = turn - ray
    wall = wall_mm[ray % RAYS] * (1 - part) + wall_mm[(ray + 1) % RAYS] * part
    depth: Field = (wall - np.hypot(down_mm, across_mm)).astype(np.float32)
    return depth
