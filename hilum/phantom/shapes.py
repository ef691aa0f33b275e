# SPDX-License-Identifier: Apache-2.0
"""Shapes as distances: millimetres from a border in one plane, negative inside."""

from collections.abc import Sequence

import numpy as np

from hilum.phantom.space import Field, Plane

EDGE_MM = 0.9
"""Width over which one tissue becomes another: a pixel shares its area between them."""

CIRCLE = 2.0
"""The power of an ordinary ellipse."""

Table = Sequence[tuple[float, ...]]
"""Rows of a height and the numbers that hold there."""


def ellipse(
    plane: Plane,
    middle_mm: tuple[float, float],
    radii_mm: tuple[float, float],
    *,
    power: float = CIRCLE,
    turn_deg: float = 0.0,
) -> Field:
    """Return the distance to an ellipse; a power below 2 is pointed, one above 2 is square."""
    x, y = plane.x_mm - np.float32(middle_mm[0]), plane.y_mm - np.float32(middle_mm[1])
    if turn_deg:
        angle = np.float32(np.radians(turn_deg))
        sine, cosine = np.sin(angle), np.cos(angle)
        x, y = cosine * x + sine * y, cosine * y - sine * x
    size = _size(x / np.float32(radii_mm[0]), y / np.float32(radii_mm[1]), power)
    # Along the ray from the middle, so an ellipse keeps its width on every side.
    length = _length(x, y)
    distance = length - length / np.maximum(size, np.float32(1e-3))
    return distance.astype(np.float32, copy=False)


def _size(across: Field, down: Field, power: float) -> Field:
    """Return 1 on the border of a unit circle of any power, less inside."""
    if power == CIRCLE:
        # Far faster than a power, and what most shapes are.
        return _length(across, down)
    exponent = np.float32(power)
    size = (np.abs(across) ** exponent + np.abs(down) ** exponent) ** (1 / exponent)
    return size.astype(np.float32, copy=False)


def _length(x: Field, y: Field) -> Field:
    length: Field = np.sqrt(x * x + y * y, dtype=np.float32)
    return length


def ellipsoid(
    plane: Plane,
    middle_mm: tuple[float, float, float],
    radii_mm: tuple[float, float, float],
    *,
    turn_deg: float = 0.0,
) -> Field:
    """Return the distance to an ellipsoid, both given as x, y, z; far away where the plane misses."""
    rise = (plane.z_mm - middle_mm[2]) / radii_mm[2]
    shrunk = np.sqrt(max(1.0 - rise**2, 0.0))
    if shrunk == 0:
        return nowhere(plane)
    radii = (radii_mm[0] * shrunk, radii_mm[1] * shrunk)
    return ellipse(plane, middle_mm[:2], radii, turn_deg=turn_deg)


def nowhere(plane: Plane) -> Field:
    """Return a distance that is far from everything."""
    return np.full_like(plane.x_mm, 1e3)


def at_height(table: Table, z_mm: float) -> tuple[float, ...]:
    """Return the numbers of a table at a height, between its rows in proportion."""
    rows = np.array(table)
    return tuple(float(np.interp(z_mm, rows[:, 0], column)) for column in rows[:, 1:].T)


def melt(*distances: Field, over_mm: float) -> Field:
    """Return the union of shapes with the creases between them filled."""
    scale = np.float32(over_mm)
    total = np.exp(-distances[0] / scale)
    for distance in distances[1:]:
        total += np.exp(-distance / scale)
    merged: Field = -scale * np.log(np.maximum(total, np.float32(1e-30)))
    return merged


def fraction(distance: Field, *, edge_mm: float = EDGE_MM) -> Field:
    """Return how much of each pixel lies inside, 0..1."""
    share: Field = np.clip(np.float32(0.5) - distance / np.float32(edge_mm), 0, 1)
    return share


def paint(image: Field, share: Field, value: Field | float) -> None:
    """Give a share of each pixel another value, in place."""
    image += share * (value - image)
