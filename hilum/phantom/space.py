# SPDX-License-Identifier: Apache-2.0
"""The space a phantom fills: its grid in millimetres, one plane of it, and smooth noise through it.

x grows to the patient's left, y to the back, z to the head; the origin lies between the lungs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

Field = NDArray[np.float32]
"""One value a pixel, [y, x], or a voxel, [z, y, x]."""

Points = NDArray[np.float64]
"""Places in millimetres, or voxel indices, [n, (z, y, x)]."""

HEIGHT_MM: Final = 308.0
"""From the upper abdomen to above the lungs."""

WIDTH_MM: Final = 400.0
"""Field of view."""

BUMP: Final = 0.6
"""Width of one bump of a ripple, in its lengths: smooth, and not yet blurred away."""

REACH: Final = 2.5
"""Deviations after which a Gaussian is cut off."""

FAINT: Final = 0.01
"""Bumps weaker than this at a place are left out."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One slice.

    Attributes:
        index: z index.
        z_mm: height of its middle.
        thickness_mm: of the slice.
        pixel_mm: side of a pixel.
        x_mm, y_mm: place of each pixel's middle, [y, x].
    """

    index: int
    z_mm: float
    thickness_mm: float
    pixel_mm: float
    x_mm: Field
    y_mm: Field


@dataclass(frozen=True, slots=True)
class Space:
    """A regular grid of voxels around the chest.

    Attributes:
        slices: number of them.
        size_px: rows, and columns.
    """

    slices: int
    size_px: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        return self.slices, self.size_px, self.size_px

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along z, y, x."""
        pixel_mm = WIDTH_MM / self.size_px
        return HEIGHT_MM / self.slices, pixel_mm, pixel_mm

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def affine(self) -> NDArray[np.float64]:
        """4 x 4, maps (z, y, x, 1) to LPS millimetres."""
        affine = np.zeros((4, 4))
        affine[[2, 1, 0], [0, 1, 2]] = self.spacing_mm
        affine[:, 3] = (self.across_mm[0], self.across_mm[0], self.z_mm[0], 1.0)
        return affine

    @property
    def z_mm(self) -> NDArray[np.float64]:
        """Height of each slice, [z]."""
        return _centred(self.slices, self.spacing_mm[0])

    @property
    def across_mm(self) -> NDArray[np.float64]:
        """Place of each row, and of each column, [y] or [x]."""
        return _centred(self.size_px, self.spacing_mm[1])

    def planes(self) -> Iterator[Plane]:
        """Yield the slices from the feet to the head."""
        y_mm, x_mm = np.meshgrid(*[self.across_mm.astype(np.float32)] * 2, indexing="ij")
        thickness_mm, pixel_mm, _ = self.spacing_mm
        for index, z_mm in enumerate(self.z_mm):
            yield Plane(index, float(z_mm), thickness_mm, pixel_mm, x_mm, y_mm)

    def to_indices(self, points_mm: Points) -> Points:
        """Return the voxel indices, [n, (z, y, x)], of points; fractions between voxels."""
        indices: Points = points_mm / np.array(self.spacing_mm) + self._middle
        return indices

    def to_mm(self, indices: Points) -> Points:
        """Return the places, [n, (z, y, x)], of voxel indices."""
        points: Points = (indices - self._middle) * np.array(self.spacing_mm)
        return points

    @property
    def _middle(self) -> Points:
        return (np.array(self.shape, np.float64) - 1) / 2


class Ripple:
    """Smooth noise of mean 0 and deviation 1, the same in millimetres on every grid."""

    def __init__(self, space: Space, rng: np.random.Generator, *, length_mm: float) -> None:
        """Draw bumps that lie `length_mm` apart."""
        self._along_z, count_z = _bumps(space.z_mm, HEIGHT_MM, length_mm)
        across, count = _bumps(space.across_mm, WIDTH_MM, length_mm)
        # Each place feels a few bumps only, and a sparse product leaves the other cores alone.
        self._across = sparse.csr_array(across)
        self._heights = rng.standard_normal((count_z, count, count)).astype(np.float32)

    def at(self, index: int) -> Field:
        """Return one slice, [y, x]."""
        near = np.flatnonzero(self._along_z[index])
        sheet = sum(self._along_z[index][bump] * self._heights[bump] for bump in near)
        rows = self._across @ sheet
        field: Field = (self._across @ rows.T).T
        return field

    def everywhere(self) -> Field:
        """Return all slices, [z, y, x]."""
        return np.stack([self.at(index) for index in range(len(self._along_z))])


def _centred(count: int, step_mm: float) -> NDArray[np.float64]:
    places: NDArray[np.float64] = (np.arange(count, dtype=np.float64) - (count - 1) / 2) * step_mm
    return places


def grain(plane: Plane, rng: np.random.Generator, *, size_mm: float) -> Field:
    """Return rough noise of mean 0 and deviation 1 in one plane, unlike that of its neighbours."""
    white = rng.standard_normal(plane.x_mm.shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, size_mm / plane.pixel_mm, truncate=REACH)
    field: Field = smooth / smooth.std()
    return field


def _bumps(places_mm: NDArray[np.float64], extent_mm: float, length_mm: float) -> tuple[Field, int]:
    """Return how much each bump gives to each place, [place, bump], and the number of bumps."""
    count = int(np.ceil(extent_mm / length_mm)) + 3
    middles_mm = (np.arange(count) - (count - 1) / 2) * length_mm
    steps = (places_mm[:, None] - middles_mm) / (length_mm * BUMP)
    weights = np.exp(-0.5 * steps**2)
    weights[weights < FAINT] = 0
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights.astype(np.float32), count
