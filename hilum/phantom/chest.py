# SPDX-License-Identifier: Apache-2.0
"""A chest built layer on layer, before its lungs are filled and it is scanned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.catalogue import CONSOLIDATION
from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom import thorax
from hilum.phantom.abdomen import paint_abdomen
from hilum.phantom.bones import paint_bones, spine
from hilum.phantom.lesions import Planted
from hilum.phantom.lungs import fissure, lung_fraction, tissue_hu
from hilum.phantom.mediastinum import mediastinum, paint_mediastinum
from hilum.phantom.shapes import fraction
from hilum.phantom.space import Field, Plane, Ripple, Space, grain
from hilum.phantom.tissues import AIR_HU

WARP_MM: Final = 3.0
"""How far the shapes of one chest stray from the pattern, for another look with every seed."""

MOSTLY: Final = 0.5
"""A voxel belongs to the lung when more of it does than not."""


@dataclass(frozen=True, slots=True)
class Chest:
    """A chest before it is scanned, all [z, y, x].

    Attributes:
        hu: true densities; lung tissue is not yet in.
        skin: share of each voxel that is body.
        air: share of each voxel that is lung.
        lungs: the truth.
        depth_mm: distance to the inside of the ribs.
        lower_lobes: whether a voxel lies below the oblique fissure.
        tissue: density of the lung, wherever there is lung.
    """

    hu: Field
    skin: Field
    air: Field
    lungs: NDArray[np.uint8]
    depth_mm: Field
    lower_lobes: NDArray[np.bool_]
    tissue: Field


def build(space: Space, rng: np.random.Generator, *, bowel_gas: bool) -> Chest:
    """Return a chest whose shapes differ a little with every random generator."""
    warps = [Ripple(space, rng, length_mm=55.0) for _ in range(2)]
    clouds = Ripple(space, rng, length_mm=26.0)
    chest = Chest(
        hu=np.full(space.shape, AIR_HU, np.float32),
        skin=np.empty(space.shape, np.float32),
        air=np.empty(space.shape, np.float32),
        lungs=np.zeros(space.shape, np.uint8),
        depth_mm=np.empty(space.shape, np.float32),
        lower_lobes=np.empty(space.shape, np.bool_),
        tissue=np.empty(space.shape, np.float32),
    )
    for straight in space.planes():
        plane = _warped(straight, warps)
        _build_slice(chest, plane, bowel_gas=bowel_gas)
        fine = grain(plane, rng, size_mm=1.6)
        chest.tissue[plane.index] = tissue_hu(plane, coarse=clouds.at(plane.index), fine=fine)
        thorax.paint_table(chest.hu[plane.index], straight, thorax.body(plane))
    return chest


def _warped(plane: Plane, warps: Sequence[Ripple]) -> Plane:
    x_shift, y_shift = (np.float32(WARP_MM) * warp.at(plane.index) for warp in warps)
    return replace(plane, x_mm=plane.x_mm + x_shift, y_mm=plane.y_mm + y_shift)


def _build_slice(chest: Chest, plane: Plane, *, bowel_gas: bool) -> None:
    image, index = chest.hu[plane.index], plane.index
    wall, skin = thorax.cavity(plane), thorax.body(plane)
    middle, back = mediastinum(plane, wall), spine(plane)
    thorax.paint_soft_wall(image, plane, wall=wall, skin=skin)
    paint_abdomen(image, plane, wall, bowel_gas=bowel_gas)
    paint_mediastinum(image, plane, middle)
    paint_bones(image, plane, wall=wall, skin=skin)
    shares = {
        lung: lung_fraction(plane, lung, wall=wall, middle=middle, spine=back)
        for lung in (RIGHT_LUNG, LEFT_LUNG)
    }
    chest.skin[index] = fraction(skin)
    chest.air[index] = shares[RIGHT_LUNG] + shares[LEFT_LUNG]
    chest.depth_mm[index] = np.maximum(-wall, 0)
    chest.lower_lobes[index] = fissure(plane) < 0
    for lung, share in shares.items():
        chest.lungs[index][share > MOSTLY] = lung


def fill_lower_lobe(chest: Chest, planted: Planted) -> None:
    """Consolidate the lower lobe of the right lung, in place."""
    lobe = (chest.lungs == RIGHT_LUNG) & chest.lower_lobes
    planted.labels[lobe] = CONSOLIDATION.value
    planted.airless[lobe] = 1.0
