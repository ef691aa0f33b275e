# SPDX-License-Identifier: Apache-2.0
"""The scan that lungs are inferred in, and the coarser one on which places are judged."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.pipelines.lung_cage import blocks, cage_depth, find_bones, find_midline
from hilum.pipelines.lung_room import Half, Room, measure_room

Mask = NDArray[np.bool_]
Field = NDArray[np.floating]

BLOCK_MM: Final = 4.0
"""Size of the voxels on which places are judged."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A thinned volume with what is known of it, all [z, y, x].

    Attributes:
        hu: Hounsfield units.
        body: the trunk.
        airway: never becomes lung.
        spacing_mm: z, y, x.
        right_first: whether the patient's right lies at small x.
    """

    hu: NDArray[np.int16]
    body: Mask
    airway: Mask
    spacing_mm: tuple[float, float, float]
    right_first: bool


@dataclass(frozen=True, slots=True)
class Coarse:
    """The scan on voxels of about four millimetres.

    Attributes:
        hu: averages, [z, y, x].
        body, bones, lungs: [z, y, x]; lungs holds the side.
        thinning: voxels of the scan that one holds, z, y, x.
        spacing_mm: z, y, x.
        right_first: as in the scan.
    """

    hu: Field
    body: Mask
    bones: Mask
    lungs: NDArray[np.uint8]
    thinning: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    right_first: bool

    @classmethod
    def of(cls, scan: Scan, sides: NDArray[np.uint8]) -> "Coarse":
        """Return a scan thinned out, with its lungs."""
        z, y, x = (max(1, round(BLOCK_MM / step)) for step in scan.spacing_mm)
        thinning = (z, y, x)
        middle = (slice(z // 2, None, z), slice(y // 2, None, y), slice(x // 2, None, x))
        hu = blocks(scan.hu, thinning).mean(axis=(1, 3, 5), dtype=np.float32)
        size = tuple(slice(length) for length in hu.shape)
        z_mm, y_mm, x_mm = scan.spacing_mm
        return cls(
            hu=hu,
            body=scan.body[middle][size],
            bones=find_bones(scan.hu, scan.body, thinning, scan.spacing_mm),
            lungs=sides[middle][size],
            thinning=thinning,
            spacing_mm=(z_mm * z, y_mm * y, x_mm * x),
            right_first=scan.right_first,
        )

    def rooms(self) -> tuple[Room, Room] | None:
        """Return the rooms of both lungs; nothing where one lung or the bones do not show."""
        if not all(np.any(self.lungs == number) for number in (RIGHT_LUNG, LEFT_LUNG)):
            return None
        if not self.bones[np.any(self.lungs, axis=(1, 2))].any():
            return None
        middle = find_midline(self.bones, self.lungs > 0)
        right, left = (
            measure_room(self._half(number, middle)) for number in (RIGHT_LUNG, LEFT_LUNG)
        )
        return (right, left) if right and left else None

    def _half(self, number: int, middle: float) -> Half:
        outwards = -1 if (number == RIGHT_LUNG) == self.right_first else 1
        columns_mm = outwards * (np.arange(self.hu.shape[2]) - middle) * self.spacing_mm[2]
        depth_mm = cage_depth(
            self.bones,
            self.lungs > 0,
            middle=middle,
            outwards=outwards,
            spacing_mm=self.spacing_mm,
        )
        return Half(
            number=number,
            lung=self.lungs == number,
            depth_mm=depth_mm,
            beside_mm=np.broadcast_to(columns_mm, self.hu.shape[1:]),
            heights_mm=np.arange(len(self.hu), dtype=np.float64) * self.spacing_mm[0],
            middle=middle,
            spacing_mm=self.spacing_mm,
        )
