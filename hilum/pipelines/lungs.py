# SPDX-License-Identifier: Apache-2.0
"""Find the lungs in a chest CT by the shape of the chest, without a network.

Air inside the body, less airways and bowel gas, right and left apart, then closed over the lesions
that a threshold drops, then completed where a whole lobe holds no air. Works on a coarse grid of
about two millimetres: the whole step costs a fraction of the network's time, and its border is
finer than the reader's.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.jobs import Progress, Stage, ignore_progress
from hilum.pipelines.airway import find_airway
from hilum.pipelines.cavity import close_over_lesions
from hilum.pipelines.lung_airless import add_airless, describe_inferred
from hilum.pipelines.lung_scan import Scan
from hilum.pipelines.stopwatch import Steps
from hilum.volume import Volume

Mask = NDArray[np.bool_]

COARSE_MM = 2.0
"""In-plane size of the coarse grid's voxels, at most."""

TISSUE_HU = -400
"""Above it a voxel belongs to the body's hull."""

TABLE_MM = 3.4
"""Radius of the opening that parts the back from the table, and leaves a thin chest wall whole."""

AIR_HU = -320
"""Below it a voxel inside the body is air or lung; the usual cut, it keeps most ground glass."""

GAS_HU = -905
"""Median density below which a pocket of air has no tissue in it: bowel gas, not lung."""

PURE_GAS_HU = -950.0
"""Mean over neighbouring voxels below which there is gas and nothing else."""

LARGE_ML = 500.0
"""A pocket this large is lung whatever its density: emphysema is as thin as gas, bowel not as big."""

SMALLEST_ML = 8.0
"""Pockets smaller than this are not lung."""

SINGLE_SLICE_MM = 40.0
"""Depth that a pocket of a single slice is taken to have: 2 square centimetres are the smallest."""

SLAB_MM = 40.0
"""A stack lower than this shows too little of the chest to infer from."""

SMALLEST_SHARE = 0.01
"""Likewise for pockets under this share of all the lung found."""

MIDDLE = 0.12
"""The midline lies within this share of the body's width of its centre."""

PLAUSIBLE_ML = (300.0, 5000.0)
"""Volume of one adult lung on a chest CT; outside it a person should look."""

PLAUSIBLE_RATIO = 0.6
"""The smaller lung over the larger one; most adults have 0.8 or more, and a lobe without air, which
a threshold drops, takes a third."""

STEPS = 7
"""Of about equal length: 0.05 to 0.26 of the whole each, in stacks of 64 and of 300 slices."""


@dataclass(frozen=True, slots=True)
class Lungs:
    """Where the lungs are, and whether to believe it.

    Attributes:
        mask: uint8 [z, y, x]: 0 outside, RIGHT_LUNG, LEFT_LUNG; lesions belong to the lung.
        doubts: sentences why a person should look; empty when none.
    """

    mask: NDArray[np.uint8]
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Grid:
    """A volume thinned out in-plane.

    Attributes:
        hu: int16 [z, y, x].
        step: every so many rows and columns of the volume.
        spacing_mm: of the thinned grid, z, y, x.
        right_first: whether the patient's right lies at small x.
    """

    hu: NDArray[np.int16]
    step: int
    spacing_mm: tuple[float, float, float]
    right_first: bool

    @property
    def voxel_ml(self) -> float:
        z, y, x = self.spacing_mm
        depth = z if len(self.hu) > 1 else SINGLE_SLICE_MM
        return depth * y * x / 1000.0


def find_lungs(volume: Volume, progress: Progress = ignore_progress) -> Lungs:
    """Return both lungs of a chest CT, or of a single axial slice of one.

    Args:
        volume: the series.
        progress: told after each step; it may raise to stop.
    """
    steps = Steps(progress, Stage.LUNGS, STEPS)
    grid = _thin(volume)
    body = _body(grid)
    steps.take()
    air = body & (grid.hu < AIR_HU)
    airway = find_airway(grid.hu, air, grid.spacing_mm)
    steps.take()
    gas = _bowel_gas(grid, air)
    steps.take()
    pockets = _lung_pockets(grid, air & ~airway & ~gas)
    steps.take()
    sides = _split_sides(grid, pockets, body)
    steps.take()
    seen = close_over_lesions(grid.hu, sides, body, airway, grid.spacing_mm)
    steps.take()
    whole, inferred = _with_airless(grid, seen, body, airway)
    mask = _refine(volume, whole, grid.step)
    steps.take()
    return Lungs(mask, (*_doubts(mask, volume), *inferred))


def _with_airless(
    grid: _Grid, seen: NDArray[np.uint8], body: Mask, airway: Mask
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Return the lungs with what holds no air, and a sentence for each lung where that is much."""
    if len(grid.hu) * grid.spacing_mm[0] < SLAB_MM:
        return seen, ()
    scan = Scan(grid.hu, body, airway, grid.spacing_mm, grid.right_first)
    whole = add_airless(scan, seen)
    return whole, describe_inferred(seen, whole, grid.hu, grid.voxel_ml)


def _thin(volume: Volume) -> _Grid:
    z_mm, y_mm, x_mm = volume.spacing_mm
    step = max(1, int(COARSE_MM / max(y_mm, x_mm)))
    # Columns of the affine are LPS, so a positive x component grows towards the patient's left.
    right_first = bool(volume.affine[0, 2] > 0)
    return _Grid(
        volume.voxels[:, ::step, ::step], step, (z_mm, y_mm * step, x_mm * step), right_first
    )


def _body(grid: _Grid) -> Mask:
    """Return the trunk with everything inside it; table, blankets and arms stay outside."""
    tissue = grid.hu > TISSUE_HU
    # The table touches the back by a line of voxels; opening parts them.
    disc = _disc(max(1, round(TABLE_MM / grid.spacing_mm[1])))
    tissue = np.stack([ndimage.binary_opening(part, disc) for part in tissue])
    labels, count = ndimage.label(tissue)
    if count == 0:
        return tissue
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    trunk = labels == sizes.argmax()
    return np.stack([ndimage.binary_fill_holes(part) for part in trunk])


def _bowel_gas(grid: _Grid, air: Mask) -> Mask:
    """Return pure gas in the lower front of the chest: stomach and colon under the diaphragm.

    The diaphragm between gas and lung is thinner than a coarse voxel, so the two may be joined;
    density and place tell them apart, as long as bullae at the front of the base are rare.
    """
    if len(grid.hu) == 1 or not air.any():
        return air & False
    smooth = ndimage.uniform_filter(grid.hu, (1, 3, 3), output=np.float32)
    labels, count = ndimage.label(air & (smooth < PURE_GAS_HU))
    sizes_ml = np.bincount(labels.ravel(), minlength=count + 1) * grid.voxel_ml
    places = ndimage.find_objects(labels)
    filled = [np.flatnonzero(air.any(axis=axes)) for axes in ((1, 2), (0, 2))]
    middle_z, middle_y = ((axis[0] + axis[-1]) / 2 for axis in filled)
    bowel = [
        number
        for number in np.flatnonzero(sizes_ml[1:] > SMALLEST_ML) + 1
        if _centre(places[number - 1][0]) < middle_z and _centre(places[number - 1][1]) < middle_y
    ]
    return air & ndimage.binary_dilation(np.isin(labels, bowel), iterations=2)


def _centre(span: slice) -> float:
    return float(span.start + span.stop) / 2


def _lung_pockets(grid: _Grid, air: Mask) -> Mask:
    """Keep the pockets of air that are lung: large enough, with tissue in them."""
    # Thin necks join bowel or outside air to the lung; opening cuts them, dilation gives back.
    core = np.stack([ndimage.binary_opening(part, _disc(1)) for part in air])
    labels, count = ndimage.label(core)
    if count == 0:
        return air & False
    index = np.arange(1, count + 1)
    sizes_ml = np.bincount(labels.ravel(), minlength=count + 1)[1:] * grid.voxel_ml
    lung_like = sizes_ml > SMALLEST_ML
    places = ndimage.find_objects(labels)
    for number in index[lung_like & (sizes_ml < LARGE_ML)]:
        place = places[number - 1]
        inside = labels[place] == number
        lung_like[number - 1] = np.median(grid.hu[place][inside]) > GAS_HU
    if not lung_like.any():
        return air & False
    lung_like &= sizes_ml > SMALLEST_SHARE * sizes_ml[lung_like].sum()
    lung_like &= ~_below_lungs(places, sizes_ml, lung_like)
    kept = np.isin(labels, index[lung_like])
    return air & ndimage.binary_dilation(kept, iterations=2)


def _below_lungs(
    places: list[tuple[slice, ...]], sizes_ml: NDArray[np.floating], lung_like: Mask
) -> Mask:
    """Tell which pockets lie in front of and under the largest lung's middle: stomach and colon."""
    largest = places[int(np.argmax(np.where(lung_like, sizes_ml, 0)))]
    middle_z, middle_y = ((axis.start + axis.stop) / 2 for axis in largest[:2])
    return np.array([place[0].stop - 1 < middle_z and place[1].stop < middle_y for place in places])


def _split_sides(grid: _Grid, lungs: Mask, body: Mask) -> NDArray[np.uint8]:
    """Label each voxel right or left; lungs that touch are parted at their thinnest."""
    first, second = (RIGHT_LUNG, LEFT_LUNG) if grid.right_first else (LEFT_LUNG, RIGHT_LUNG)
    sides = np.zeros(lungs.shape, np.uint8)
    if not lungs.any():
        return sides
    middle = _midline(lungs, body)
    # Cores lie inside the lungs, so the box around them is all there is to measure.
    box = ndimage.find_objects(lungs.astype(np.uint8))[0]
    markers = _markers(lungs, middle)[box]
    # Growing from both cores by distance meets in the thin bridge between the lungs.
    nearest = ndimage.distance_transform_edt(
        markers == 0, sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    grown = markers[tuple(nearest)]
    inside = lungs[box]
    sides[box][inside & (grown == 1)] = first
    sides[box][inside & (grown == 2)] = second  # noqa: PLR2004 - the second marker
    return sides


def _midline(lungs: Mask, body: Mask) -> float:
    """Return the x between the lungs: near the body's middle, where the fewest lung voxels lie."""
    trunk = np.flatnonzero(np.any(body, axis=(0, 1)))
    centre, width = (trunk[0] + trunk[-1]) / 2, trunk[-1] - trunk[0]
    low, high = int(centre - MIDDLE * width), int(centre + MIDDLE * width) + 1
    columns = ndimage.uniform_filter1d(lungs.sum(axis=(0, 1)).astype(float), 5)[low:high]
    # Where one lung is missing many columns are empty: the one nearest the middle is meant.
    lowest = low + np.flatnonzero(columns == columns.min())
    return float(lowest[np.abs(lowest - centre).argmin()])


def _markers(lungs: Mask, middle: float) -> NDArray[np.uint8]:
    """Mark each pocket of eroded lung by the side of the midline that its centre lies on."""
    core = lungs
    for _ in range(4):
        eroded = np.stack([ndimage.binary_erosion(part) for part in core])
        if not eroded.any():
            break
        core = eroded
        if not _crosses(core, middle):
            break
    labels, count = ndimage.label(core)
    columns = np.broadcast_to(np.arange(core.shape[2]), core.shape)
    centres = ndimage.mean(columns, labels, np.arange(1, count + 1))
    side = np.array([0, *np.where(centres < middle, 1, 2)], np.uint8)
    markers: NDArray[np.uint8] = side[labels]
    return _cut_crossing(markers, labels, middle)


def _crosses(core: Mask, middle: float) -> bool:
    labels, _ = ndimage.label(core)
    return any(_straddles(place, middle) for place in ndimage.find_objects(labels))


def _straddles(place: tuple[slice, ...], middle: float) -> bool:
    reach = min(middle - place[2].start, place[2].stop - middle)
    return bool(reach > 0.2 * (place[2].stop - place[2].start))


def _cut_crossing(
    markers: NDArray[np.uint8], labels: NDArray[np.signedinteger], middle: float
) -> NDArray[np.uint8]:
    """Part what erosion could not: a pocket still on both sides is cut at the midline."""
    columns = np.arange(markers.shape[2])
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        if _straddles(place, middle):
            markers = np.where(labels == number, np.where(columns < middle, 1, 2), markers).astype(
                np.uint8
            )
    return markers


def _refine(volume: Volume, sides: NDArray[np.uint8], step: int) -> NDArray[np.uint8]:
    """Bring the coarse lungs back to the volume's own grid."""
    _, rows, columns = volume.voxels.shape
    fine = sides.repeat(step, axis=1)[:, :rows].repeat(step, axis=2)[:, :, :columns]
    return np.ascontiguousarray(fine)


def _doubts(mask: NDArray[np.uint8], volume: Volume) -> tuple[str, ...]:
    if len(mask) == 1:
        return ()
    lungs = {
        name: np.count_nonzero(mask == number) * volume.voxel_ml
        for name, number in (("right", RIGHT_LUNG), ("left", LEFT_LUNG))
    }
    low, high = PLAUSIBLE_ML
    doubts = [
        f"The {side} lung measures {ml:.0f} ml, outside {low:.0f} to {high:.0f} ml."
        for side, ml in lungs.items()
        if not low <= ml <= high
    ]
    ratio = min(lungs.values()) / max(*lungs.values(), 1e-6)
    if ratio < PLAUSIBLE_RATIO:
        doubts.append(
            f"The smaller lung is {ratio:.0%} of the larger one, less than {PLAUSIBLE_RATIO:.0%}:"
            " part of it may have been missed."
        )
    return tuple(doubts)


def _disc(radius: int) -> Mask:
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc: Mask = x * x + y * y <= radius * radius
    return disc
