# SPDX-License-Identifier: Apache-2.0
"""A chest built layer on layer, before its lungs are filled and it is scanned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.catalogue import CONSOLIDATION
from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom import thorax
from hilum.phantom.abdomen import paint_abdomen
from hilum.phantom.bones import paint_bones, spine
from hilum.phantom.lesions import LUNG_VALUE, Planted
from hilum.phantom.lungs import fissure, lung_fraction, tissue_hu
from hilum.phantom.mediastinum import mediastinum, paint_mediastinum
from hilum.phantom.shapes import fraction, paint
from hilum.phantom.space import Field, Plane, Ripple, Space, grain
from hilum.phantom.tissues import AIR_HU, FLUID_HU

WARP_MM: Final = 3.0
"""How far the shapes of one chest stray from the pattern, for another look with every seed."""

Lobe = Literal["right upper", "right lower", "left upper", "left lower"]
"""A lobe by its side of the oblique fissure; the right upper one includes the middle lobe."""

LOBES: Final[Mapping[Lobe, tuple[int, bool]]] = MappingProxyType(
    {
        "right upper": (RIGHT_LUNG, False),
        "right lower": (RIGHT_LUNG, True),
        "left upper": (LEFT_LUNG, False),
        "left lower": (LEFT_LUNG, True),
    }
)
"""The lung of each lobe, and whether it lies below the fissure."""

EFFUSION_TILT: Final = 0.25
"""By how much the fluid's surface falls towards the head: the tangent of some 14 degrees."""

MOSTLY: Final = 0.5
"""A voxel belongs to the lung when more of it does than not."""


@dataclass(frozen=True, slots=True)
class Effusion:
    """Free fluid beside one lung.

    Attributes:
        lung: the patient's side.
        volume_ml: millilitres.
    """

    lung: Literal["right", "left"]
    volume_ml: float


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


def fill_lobe(chest: Chest, planted: Planted, lobe: Lobe) -> None:
    """Consolidate a lobe, in place."""
    lung, is_lower = LOBES[lobe]
    inside = (chest.lungs == lung) & (chest.lower_lobes == is_lower)
    planted.labels[inside] = CONSOLIDATION.value
    planted.airless[inside] = 1.0


def add_effusion(chest: Chest, space: Space, effusion: Effusion) -> None:
    """Let fluid take the lowest room of a pleural cavity, in place; its surface is level.

    The patient lies on the back with the chest a little raised, so fluid gathers at the back of
    the base, and the lung that it displaces is no lung.
    """
    where = np.nonzero(chest.lungs == LUNG_VALUE[effusion.lung])
    count = round(effusion.volume_ml / space.voxel_ml)
    if not 0 < count <= len(where[0]):
        raise ValueError(
            f"An effusion of {effusion.volume_ml} ml does not fit: the {effusion.lung} lung has"
            f" {len(where[0]) * space.voxel_ml:.1f} ml."
        )
    height_mm = EFFUSION_TILT * space.z_mm[where[0]] - space.across_mm[where[1]]
    surface_mm = np.partition(height_mm, count - 1)[count - 1]
    heights_mm = EFFUSION_TILT * space.z_mm[:, None, None] - space.across_mm[None, :, None]
    near = ndimage.maximum_filter(chest.lungs == LUNG_VALUE[effusion.lung], size=(1, 3, 3))
    share = np.where(near & (heights_mm <= surface_mm), chest.air, 0).astype(np.float32)
    paint(chest.hu, share, FLUID_HU)
    chest.air[share > 0] = 0
    chest.lungs[(share > 0) & (chest.lungs == LUNG_VALUE[effusion.lung])] = 0
