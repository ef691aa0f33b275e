# SPDX-License-Identifier: Apache-2.0
"""Where slices lie in the patient: normals, angles, heights, and the affine of a grid.

Positions are DICOM patient coordinates, LPS millimetres: x grows to the patient's left, y to the
back, z to the head, whichever way the patient lay (PS3.3 C.7.6.2.1.1).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.study import Instance

Vector = NDArray[np.float64]

MAX_AXIAL_ANGLE: Final = 30.0
"""Degrees between slice normal and body axis: beyond the tilt of any gantry, short of oblique."""

_HEADWARDS: Final = np.array([0.0, 0.0, 1.0])


def normal(instance: Instance) -> Vector:
    """Return the unit normal of a slice with an orientation, pointing towards the head."""
    row, column = _directions(instance)
    across = np.cross(row, column)
    across /= np.linalg.norm(across)
    return -across if across @ _HEADWARDS < 0 else across


def angle_between(one: Vector, other: Vector) -> float:
    """Return the angle between two unit vectors in degrees, 0..180."""
    return float(np.degrees(np.arccos(np.clip(one @ other, -1.0, 1.0))))


def axial_angle(instance: Instance) -> float:
    """Return how far a slice leans from axial, in degrees, 0..90."""
    return angle_between(normal(instance), _HEADWARDS)


def heights_mm(instances: Sequence[Instance], along: Vector) -> Vector:
    """Return the height of each slice along a direction, in millimetres, [n]."""
    heights: Vector = _positions(instances) @ along
    return heights


def turning_degrees(one: Instance, other: Instance) -> float:
    """Return the largest angle between the row or column directions of two slices, in degrees."""
    pairs = zip(_directions(one), _directions(other), strict=True)
    return max(angle_between(here, there) for here, there in pairs)


def drift_mm(ordered: Sequence[Instance]) -> float:
    """Return how far, at most, slice origins stray from the line of the grid, in millimetres.

    Only sideways: along the line the distances are judged as spacing.
    """
    positions = _positions(ordered)
    line = positions[-1] - positions[0]
    line /= np.linalg.norm(line)
    offsets = positions - positions[0]
    sideways = offsets - np.outer(offsets @ line, line)
    return float(np.linalg.norm(sideways, axis=1).max())


def tilt_degrees(ordered: Sequence[Instance]) -> float:
    """Return the angle between the slice normal and the way the slices are stacked, in degrees."""
    positions = _positions(ordered)
    line = positions[-1] - positions[0]
    return angle_between(line / np.linalg.norm(line), normal(ordered[0]))


# ── From stored rows and columns to y and x ───────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored image is turned so that y grows to the back and x to the patient's left.

    Attributes:
        transpose: swap rows and columns first.
        flip_y, flip_x: then reverse this axis.
    """

    transpose: bool = False
    flip_y: bool = False
    flip_x: bool = False

    @classmethod
    def of(cls, instance: Instance) -> "Turn":
        """Return the turn that makes an axial slice upright: spine down, right lung at the left."""
        row, column = _directions(instance)
        # The first direction is the one along which the column index grows.
        transpose = bool(abs(row[1]) > abs(row[0]))
        along_x, along_y = (column, row) if transpose else (row, column)
        return cls(transpose, bool(along_y[1] < 0), bool(along_x[0] < 0))

    def apply(self, image: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return a view of the image, turned upright."""
        if self.transpose:
            image = image.T
        return image[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]

    def undo(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a view of an upright image, or of many [..., y, x], as it would be stored."""
        image = image[..., :: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]
        return image.swapaxes(-1, -2) if self.transpose else image

    def shape(self, instance: Instance) -> tuple[int, int]:
        """Return rows and columns after turning."""
        rows, columns = instance.rows, instance.columns
        return (columns, rows) if self.transpose else (rows, columns)


def grid_affine(ordered: Sequence[Instance], turn: Turn) -> NDArray[np.float64]:
    """Return the 4 x 4 affine that maps (z, y, x, 1) to LPS millimetres.

    Args:
        ordered: at least two slices, from the feet to the head.
        turn: what was done to each image.
    """
    first = ordered[0]
    rows, columns = turn.shape(first)
    y_step, x_step = _steps_mm(first, turn)
    positions = _positions(ordered)
    origin = positions[0].copy()
    if turn.flip_y:
        origin += y_step * (rows - 1)
        y_step = -y_step
    if turn.flip_x:
        origin += x_step * (columns - 1)
        x_step = -x_step
    affine = np.eye(4)
    # The mean step, not the normal: a tilted gantry stacks its slices askew.
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(ordered) - 1)
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = y_step, x_step, origin
    return affine


def _steps_mm(instance: Instance, turn: Turn) -> tuple[Vector, Vector]:
    """Return the way from voxel to voxel along y and x after transposing, before flipping."""
    row, column = _directions(instance)
    between_rows, between_columns = instance.pixel_spacing_mm or (1.0, 1.0)
    down, right = column * between_rows, row * between_columns
    return (right, down) if turn.transpose else (down, right)


def _directions(instance: Instance) -> tuple[Vector, Vector]:
    cosines = np.array(instance.orientation, np.float64)
    return cosines[:3] / np.linalg.norm(cosines[:3]), cosines[3:] / np.linalg.norm(cosines[3:])


def _positions(instances: Sequence[Instance]) -> NDArray[np.float64]:
    return np.array([instance.position_mm for instance in instances], np.float64)
