# SPDX-License-Identifier: Apache-2.0
"""Give back to the lungs what holds no air: a consolidated lobe, which no threshold finds.

First a cheap question: does the room that must be lung in any chest hold soft tissue? In a healthy
chest it hardly does, and the step ends. Otherwise each voxel of soft tissue is weighed by its
place (`lung_room`) and by its density, learnt from the same patient: what lies deep in the room
against what lies beside it. Where densities do not differ, place alone decides.

What is added is inferred, not seen, and fluid around a lung looks the same; a person must look.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.pipelines.cavity import close_over_lesions
from hilum.pipelines.lung_room import NEVER, Room, judged, prior
from hilum.pipelines.lung_scan import Coarse, Scan

Mask = NDArray[np.bool_]
Field = NDArray[np.floating]

MISSING_SHARE: Final = 0.12
"""Share of the room judged that soft tissue must take before any lung is inferred. Healthy
phantoms show under 0.01, a raised diaphragm 0.03, a tumour of five centimetres 0.06."""

SMALLEST_ROOM_ML: Final = 100.0
"""A room smaller than this says nothing."""

DENSE_HU: Final = -200
"""Above it a voxel of the room judged holds no air to speak of."""

SOFT_HU: Final = (-30, 150)
"""Soft tissue and fluid, with contrast or without."""

FAT_HU: Final = -250
"""Between it and soft tissue lies fat, or air and tissue in one voxel; never airless lung."""

FAT_ODDS: Final = -2.0
"""Log-odds that fat is lung, at most: bronchi in a consolidated lobe look like it."""

SMOOTH_MM: Final = (4.0, 5.0, 5.0)
"""Deviation of the average that tells densities from noise, z, y, x."""

BIN_HU: Final = 2.0
SURE: Final = 2.5
"""Log-odds by place from which a voxel serves to learn densities."""

DENSITY_ODDS: Final = 3.0
"""The most that density may add or take: less than what place may."""

SOLID_HU: Final = 130
"""Above it lies bone, never lung."""

SMALLEST_ML: Final = 20.0
"""Inferred pieces smaller than this are dropped."""

INFERRED_SHARE: Final = 0.05
"""A lung of which more than this was inferred, not seen, needs a person's look."""

IN_PLANE: Final = np.array([[[0] * 3] * 3, [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0] * 3] * 3], bool)
"""A voxel with its four neighbours in the slice."""


def add_airless(scan: Scan, sides: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the lungs with the parts inferred that hold no air.

    Args:
        scan: the thinned volume.
        sides: lungs as found by threshold, [z, y, x].
    """
    coarse = Coarse.of(scan, sides)
    rooms = coarse.rooms()
    if rooms is None:
        return sides
    apex_mm = max(room.apex_mm for room in rooms)
    missing = [_misses_lung(room, coarse.hu, apex_mm=apex_mm) for room in rooms]
    if not any(missing):
        return sides
    result = sides.copy()
    likely = np.full(sides.shape, NEVER, np.float32)
    for room, other, is_ill, other_is_ill in zip(
        rooms, rooms[::-1], missing, missing[::-1], strict=True
    ):
        if is_ill:
            odds = _spread(_odds(coarse, room, other, is_mirror=not other_is_ill), scan, coarse)
            result[_pieces(odds > 0, scan, sides)] = room.half.number
            likely = np.maximum(likely, odds)
    return _close(scan, result, likely)


def _misses_lung(room: Room, hu: Field, *, apex_mm: float) -> bool:
    """Tell whether soft tissue takes too much of what must be lung."""
    sure = judged(room, apex_mm=apex_mm)
    dense = sure & ~room.half.lung & (hu > DENSE_HU)
    # Vessels and the rim of the heart are thin; an opening leaves what is wide.
    dense = ndimage.binary_opening(dense, np.ones((1, 3, 3), bool))
    z_mm, y_mm, x_mm = room.half.spacing_mm
    if np.count_nonzero(sure) * z_mm * y_mm * x_mm / 1000.0 < SMALLEST_ROOM_ML:
        return False
    return bool(np.count_nonzero(dense) > MISSING_SHARE * np.count_nonzero(sure))


def _odds(coarse: Coarse, room: Room, other: Room, *, is_mirror: bool) -> Field:
    """Return the log-odds that each voxel is lung, by place and density, [z, y, x]."""
    place = prior(room, other, is_mirror=is_mirror)
    low, high = SOFT_HU
    inside = coarse.body & (np.maximum(room.half.depth_mm, other.half.depth_mm) > 0)
    soft = inside & (coarse.hu > low) & (coarse.hu < high)
    free = soft & (coarse.lungs == 0)
    mean_hu = _average(coarse.hu, soft, coarse.spacing_mm)
    odds = place + _by_density(mean_hu, free & (place > SURE), free & (place < -SURE))
    fat = (coarse.hu <= low) & (coarse.hu > FAT_HU)
    odds = np.where(fat, np.minimum(odds, FAT_ODDS), odds)
    never = ~coarse.body | coarse.bones | (place <= NEVER) | other.half.lung
    odds = np.where(never, NEVER, odds)
    smooth: Field = ndimage.gaussian_filter(odds, (0, 0.6, 0.6))
    return smooth


def _average(hu: Field, soft: Mask, spacing_mm: tuple[float, float, float]) -> Field:
    """Return the mean density of the soft tissue around each voxel."""
    sigma = [width / step for width, step in zip(SMOOTH_MM, spacing_mm, strict=True)]
    weight = ndimage.gaussian_filter(soft.astype(np.float32), sigma)
    total = ndimage.gaussian_filter(np.where(soft, hu, 0).astype(np.float32), sigma)
    mean: Field = total / np.maximum(weight, 1e-3)
    return mean


def _by_density(mean_hu: Field, lung: Mask, other: Mask) -> Field:
    """Return the log-odds by density, learnt from voxels whose place leaves little doubt."""
    edges = np.arange(SOFT_HU[0], SOFT_HU[1] + 1, BIN_HU)
    shares = []
    for known in (lung, other):
        counts = np.histogram(mean_hu[known], edges)[0].astype(float)
        smooth = ndimage.gaussian_filter1d(counts, 1.5)
        # A small share everywhere keeps densities that neither shows neutral.
        shares.append(smooth / max(smooth.sum(), 1.0) + 1e-3)
    table = np.log(shares[0] / shares[1]).clip(-DENSITY_ODDS, DENSITY_ODDS)
    bins = ((mean_hu - SOFT_HU[0]) / BIN_HU).astype(int).clip(0, len(table) - 1)
    odds: Field = table[bins]
    return odds


def _spread(odds: Field, scan: Scan, coarse: Coarse) -> Field:
    """Bring log-odds to the scan's grid; what the blocks left out at its end is no lung."""
    fine = odds
    if coarse.thinning != (1, 1, 1):
        fine = ndimage.zoom(odds, coarse.thinning, order=1, mode="nearest", grid_mode=True)
    spread = np.full(scan.hu.shape, NEVER, np.float32)
    spread[tuple(slice(length) for length in fine.shape)] = fine
    return spread


def _pieces(inferred: Mask, scan: Scan, sides: NDArray[np.uint8]) -> Mask:
    """Keep the pieces of inferred lung that are large and thick enough to be one."""
    free = inferred & scan.body & ~scan.airway & (sides == 0) & (scan.hu < SOLID_HU)
    core = ndimage.binary_opening(free, IN_PLANE, iterations=2)
    labels, count = ndimage.label(core)
    voxel_ml = float(np.prod(scan.spacing_mm)) / 1000.0
    large = np.bincount(labels.ravel(), minlength=count + 1) * voxel_ml > SMALLEST_ML
    large[0] = False
    kept: Mask = free & ndimage.binary_dilation(large[labels], iterations=2)
    return kept


def _close(scan: Scan, sides: NDArray[np.uint8], likely: Field) -> NDArray[np.uint8]:
    """Close what was inferred over its vessels and bronchi, but not over liver or heart."""
    closed = close_over_lesions(scan.hu, sides, scan.body, scan.airway, scan.spacing_mm)
    closed[(sides == 0) & (likely <= -DENSITY_ODDS)] = 0
    return closed


def describe_inferred(
    seen: NDArray[np.uint8], whole: NDArray[np.uint8], hu: NDArray[np.int16], voxel_ml: float
) -> tuple[str, ...]:
    """Return a sentence for each lung of which more was inferred than goes without saying.

    Args:
        seen: lungs before `add_airless`, [z, y, x].
        whole: lungs after it.
        hu: [z, y, x].
        voxel_ml: volume of one voxel.
    """
    sentences = []
    for name, number in (("right", RIGHT_LUNG), ("left", LEFT_LUNG)):
        inferred = (whole == number) & (seen == 0)
        count = np.count_nonzero(inferred)
        if count == 0:
            continue
        share = count / np.count_nonzero(whole == number)
        if share > INFERRED_SHARE:
            sentences.append(
                f"{share:.0%} of the {name} lung ({count * voxel_ml:.0f} ml, median"
                f" {np.median(hu[inferred]):.0f} HU) shows no air and was inferred from the chest's"
                f" shape, more than {INFERRED_SHARE:.0%}: consolidation, collapse, or fluid beside"
                " the lung."
            )
    return tuple(sentences)
