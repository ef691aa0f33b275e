# SPDX-License-Identifier: Apache-2.0
"""The chest as a scanner shows it: lungs with their trees and lesions, in the chest, with noise."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.phantom.chest import Chest
from hilum.phantom.lesions import Planted
from hilum.phantom.scanner import scan
from hilum.phantom.shapes import paint
from hilum.phantom.space import Field, Plane, Space, grain
from hilum.phantom.tissues import GAS_HU, VESSEL_HU
from hilum.phantom.trees import Trees

GLASS_HU: Final = 345.0
"""What ground glass adds to the lung it lies in."""

GLASS_GRAINS_HU: Final = (110.0, 75.0)
"""By how much its patches and its lines differ."""

SOLID_HU: Final = -150.0
"""Density of consolidated lung; some air stays."""

SOLID_GRAIN_HU: Final = 120.0
"""By how much its patches differ."""

AIRLESS_HU: Final = 35.0
"""Density of a lobe whose air is gone: that of muscle, so that no threshold finds it."""

PATCH_MM: Final = 2.9
LINE_MM: Final = 1.3
"""Size of the one and the other."""

CONTRAST: Final = 0.75
"""A lung kernel shows thin vessels brighter than their share of a voxel, by this power."""


def take_picture(
    space: Space, chest: Chest, planted: Planted, trees: Trees, rng: np.random.Generator
) -> NDArray[np.int16]:
    """Return the Hounsfield units of a chest with its lesions and trees, [z, y, x]."""
    voxels = np.empty(space.shape, np.int16)
    for plane in space.planes():
        z, image = plane.index, chest.hu[plane.index]
        blood = trees.blood[z] ** CONTRAST
        tissue = _diseased(chest, planted, trees, plane, rng)
        paint(tissue, blood, VESSEL_HU)
        paint(image, blood, VESSEL_HU)
        paint(image, chest.air[z], tissue)
        paint(image, trees.walls[z] * chest.air[z], VESSEL_HU)
        paint(image, np.maximum(trees.windpipe[z], trees.bronchi[z] * chest.air[z]), GAS_HU)
        voxels[z] = scan(image, chest.skin[z], pixel_mm=plane.pixel_mm, rng=rng)
    return voxels


def _diseased(
    chest: Chest, planted: Planted, trees: Trees, plane: Plane, rng: np.random.Generator
) -> Field:
    """Return the density of one slice of lung with its lesions, vessels not yet in."""
    z = plane.index
    if not planted.labels[z].any():
        healthy: Field = chest.tissue[z].copy()
        return healthy
    kinds = (planted.glass, planted.solid, planted.airless)
    glass, solid, airless = (_to_the_rim(kind[z], chest.lungs[z]) for kind in kinds)
    patches, lines = (grain(plane, rng, size_mm=size) for size in (PATCH_MM, LINE_MM))
    patchy, lined = GLASS_GRAINS_HU
    # Ground glass fills part of the air, so the lung's own texture and vessels show through.
    diseased: Field = chest.tissue[z] + glass * (GLASS_HU + patchy * patches + lined * lines)
    tissue = 1 - trees.bronchogram[z]
    paint(diseased, solid * tissue, SOLID_HU + SOLID_GRAIN_HU * patches)
    paint(diseased, airless * tissue, AIRLESS_HU)
    return diseased


def _to_the_rim(share: Field, lungs: NDArray[np.uint8]) -> Field:
    """Return a lesion's share with the pixels filled that are lung in their lesser part."""
    filled: Field = np.where(lungs > 0, share, ndimage.maximum_filter(share, size=3))
    return filled
