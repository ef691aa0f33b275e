# SPDX-License-Identifier: Apache-2.0
"""Lesions of known volume: where they lie, how large they are, which voxels they take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hilum.catalogue import CONSOLIDATION, GROUND_GLASS
from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom.space import Field, Ripple, Space

LABEL_VALUE: Final = {label.name: label.value for label in (GROUND_GLASS, CONSOLIDATION)}
LUNG_VALUE: Final = {"right": RIGHT_LUNG, "left": LEFT_LUNG}

PLEURAL_PULL: Final = 0.9
"""What a millimetre away from the pleura costs: lesions of COVID-19 lie along it."""

RAGGED: Final = 0.30
"""How far noise bends the border, as a share of the distance from the middle."""

FADE_MM: Final = {GROUND_GLASS.name: 1.8, CONSOLIDATION.name: 2.2}
"""Half the width over which a lesion fades into lung; half of it lies inside its volume."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point in a lung as fractions, 0..1, of the box around it.

    Attributes:
        height: 0 at the base, 1 at the apex.
        depth: 0 at the front, 1 at the back.
        side: 0 towards the heart, 1 towards the ribs.
    """

    height: float
    depth: float
    side: float


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion to plant.

    Attributes:
        label: a class of the `ct-lesions` pipeline.
        volume_ml: millilitres; the planted mask has it to the voxel.
        lung: the patient's side.
        place: where its middle lies; outside the lung, the nearest point of it.
    """

    label: Literal["ground-glass opacity", "consolidation"]
    volume_ml: float
    lung: Literal["right", "left"]
    place: Place


COVID_LESIONS: Final[tuple[Lesion, ...]] = (
    Lesion("consolidation", 24.0, "right", Place(0.30, 0.86, 0.62)),
    Lesion("consolidation", 15.0, "right", Place(0.46, 0.84, 0.80)),
    Lesion("consolidation", 18.0, "left", Place(0.30, 0.86, 0.55)),
    Lesion("consolidation", 10.0, "left", Place(0.56, 0.66, 0.90)),
    Lesion("ground-glass opacity", 230.0, "right", Place(0.34, 0.90, 0.70)),
    Lesion("ground-glass opacity", 80.0, "right", Place(0.62, 0.70, 1.00)),
    Lesion("ground-glass opacity", 35.0, "right", Place(0.55, 0.20, 0.85)),
    Lesion("ground-glass opacity", 165.0, "left", Place(0.32, 0.90, 0.70)),
    Lesion("ground-glass opacity", 75.0, "left", Place(0.58, 0.62, 1.00)),
    Lesion("ground-glass opacity", 26.0, "left", Place(0.75, 0.35, 0.80)),
)
"""On both sides, along the pleura and mostly at the back, as COVID-19 pneumonia lies: about a
seventh of the lungs, graded Mild."""


@dataclass(frozen=True, slots=True)
class Planted:
    """Lesions in their places.

    Attributes:
        labels: uint8 [z, y, x]: 0 none, otherwise the label's value.
        glass, solid: how much of each voxel's air is replaced by either kind, 0..1, [z, y, x].
        airless: the same for a lobe without any air.
    """

    labels: NDArray[np.uint8]
    glass: Field
    solid: Field
    airless: Field


def plant(
    space: Space,
    lungs: NDArray[np.uint8],
    depth_mm: Field,
    lesions: Sequence[Lesion],
    rng: np.random.Generator,
) -> Planted:
    """Return the lesions; a later one takes only what an earlier one left free.

    Args:
        space: the grid.
        lungs: 0 outside, RIGHT_LUNG, LEFT_LUNG, [z, y, x].
        depth_mm: distance to the ribs, [z, y, x].
        lesions: what to plant.
        rng: makes their borders irregular.
    """
    empty = (np.zeros(space.shape, np.float32) for _ in range(3))
    planted = Planted(np.zeros_like(lungs), *empty)
    if not lesions:
        return planted
    bend = 0.7 * Ripple(space, rng, length_mm=22.0).everywhere()
    bend += 0.5 * Ripple(space, rng, length_mm=9.0).everywhere()
    sides = {name: _Side.of(lungs == value, depth_mm, bend) for name, value in LUNG_VALUE.items()}
    for lesion in lesions:
        _take(planted, sides[lesion.lung], space, lesion)
    return planted


@dataclass(frozen=True, slots=True)
class _Side:
    """The voxels of one lung.

    Attributes:
        where: their indices z, y, x, each [n].
        depth_mm: distance to the ribs, [n].
        bend: noise, [n].
    """

    where: tuple[NDArray[np.intp], ...]
    depth_mm: Field
    bend: Field

    @classmethod
    def of(cls, lung: NDArray[np.bool_], depth_mm: Field, bend: Field) -> "_Side":
        where = np.nonzero(lung)
        return cls(where, depth_mm[where], bend[where])

    def middle(self, lesion: Lesion) -> tuple[int, ...]:
        """Return the voxel nearest to the lesion's place in the box around the lung."""
        outwards = 1.0 - lesion.place.side if lesion.lung == "right" else lesion.place.side
        z = self.where[0]
        level = z == round(z.min() + lesion.place.height * np.ptp(z))
        y, x = self.where[1][level], self.where[2][level]
        wanted_y = y.min() + lesion.place.depth * np.ptp(y)
        wanted_x = x.min() + outwards * np.ptp(x)
        nearest = np.hypot(y - wanted_y, x - wanted_x).argmin()
        return int(z[level][0]), int(y[nearest]), int(x[nearest])

    def reach_mm(self, space: Space, lesion: Lesion) -> Field:
        """Return how far a lesion must grow to take each voxel, in bent millimetres, [n]."""
        ways = zip(self.where, self.middle(lesion), space.spacing_mm, strict=True)
        squares = sum(((axis - start) * step) ** 2 for axis, start, step in ways)
        distance = np.sqrt(squares).astype(np.float32)
        deeper = np.maximum(self.depth_mm - self.depth_mm[distance.argmin()], 0)
        bent = np.exp(np.float32(RAGGED) * self.bend)
        reach: Field = (distance + np.float32(PLEURAL_PULL) * deeper) * bent
        return reach


def _take(planted: Planted, side: _Side, space: Space, lesion: Lesion) -> None:
    """Give a lesion the free voxels that it reaches first."""
    free = planted.labels[side.where] == 0
    count = round(lesion.volume_ml / space.voxel_ml)
    if not 0 < count <= np.count_nonzero(free):
        raise ValueError(
            f"A lesion of {lesion.volume_ml} ml does not fit: the {lesion.lung} lung has"
            f" {np.count_nonzero(free) * space.voxel_ml:.1f} ml left."
        )
    reach_mm = side.reach_mm(space, lesion)
    taken = np.flatnonzero(free)[np.argpartition(reach_mm[free], count - 1)[:count]]
    planted.labels[tuple(axis[taken] for axis in side.where)] = LABEL_VALUE[lesion.label]
    # Half of the fading lies outside, so that the border is where the density is halfway.
    fade_mm = 2 * np.float32(FADE_MM[lesion.label])
    share = np.clip(0.5 + (reach_mm[taken].max() - reach_mm) / fade_mm, 0, 1)
    weights = planted.solid if lesion.label == CONSOLIDATION.name else planted.glass
    weights[side.where] = np.maximum(weights[side.where], share)
