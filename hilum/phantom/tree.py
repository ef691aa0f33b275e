# SPDX-License-Identifier: Apache-2.0
"""Trees that branch through a lung: vessels and bronchi, grown towards points they must feed."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.phantom.space import Field, Points, Space

DIRECTNESS: Final = 0.35
"""What a millimetre of way from the root costs against a millimetre of new branch: trees radiate."""

STEP_MM: Final = 4.0
"""Length of one piece of branch."""

CALIBRE_POWER: Final = 0.40
"""Radius grows with the number of twigs behind by this power: Murray's law, softened."""

SAMPLE_MM: Final = 1.0
"""Distance between the balls that a branch is drawn with."""

RADIUS_CLASSES_MM: Final = (0.5, 0.8, 1.2, 1.8, 2.6, 3.8, 5.5, 8.0, 12.0)
"""Upper ends of the groups that share one footprint."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Pieces of branch.

    Attributes:
        nodes_mm: their ends, [n, (z, y, x)]; the first is the root.
        parents: index of the node each one grew from; the root's is 0.
        radii_mm: of the piece that ends at each node.
    """

    nodes_mm: Points
    parents: NDArray[np.intp]
    radii_mm: NDArray[np.float64]


def grow(
    root_mm: tuple[float, float, float],
    targets_mm: Points,
    *,
    twig_mm: float,
    rng: np.random.Generator,
) -> Tree:
    """Return a tree from a root to every target, the near ones first.

    Args:
        root_mm: z, y, x.
        targets_mm: where twigs end.
        twig_mm: radius of the last twig.
        rng: bends the branches.
    """
    growth = _Growth(np.array(root_mm), capacity=len(targets_mm) * 40 + 1)
    for target in targets_mm[np.argsort(np.linalg.norm(targets_mm - growth.nodes[0], axis=1))]:
        growth.reach(target, rng)
    count = growth.count
    radii = twig_mm * _twigs_behind(growth.parents[:count]) ** CALIBRE_POWER
    return Tree(growth.nodes[:count], growth.parents[:count], radii)


class _Growth:
    """A tree while it grows."""

    def __init__(self, root: Points, *, capacity: int) -> None:
        self.nodes = np.empty((capacity, 3))
        self.parents = np.zeros(capacity, np.intp)
        self.way = np.zeros(capacity)
        self.nodes[0], self.count = root, 1

    def reach(self, target: Points, rng: np.random.Generator) -> None:
        """Grow one branch from the best node to a target."""
        known = self.nodes[: self.count]
        distance = np.sqrt(((known - target) ** 2).sum(axis=1))
        start = int(np.argmin(distance + DIRECTNESS * self.way[: self.count]))
        pieces = min(max(1, round(distance[start] / STEP_MM)), 39)
        # A branch sags and sways a little on its way.
        sway = rng.normal(0.0, 0.05 * distance[start], 3)
        along = np.arange(1, pieces + 1)[:, None] / pieces
        path = known[start] + along * (target - known[start]) + np.sin(np.pi * along) * sway
        self._append(path, start)

    def _append(self, path: Points, start: int) -> None:
        end = self.count + len(path)
        self.nodes[self.count : end] = path
        self.parents[self.count : end] = [start, *range(self.count, end - 1)]
        step = np.linalg.norm(np.diff(path, axis=0, prepend=self.nodes[start][None]), axis=1)
        self.way[self.count : end] = self.way[start] + np.cumsum(step)
        self.count = end


def _twigs_behind(parents: NDArray[np.intp]) -> NDArray[np.float64]:
    twigs = np.ones(len(parents))
    twigs[parents] = 0.0
    # A node is younger than its parent, so one way back through the list adds everything up.
    for node in range(len(parents) - 1, 0, -1):
        twigs[parents[node]] += twigs[node]
    return np.maximum(twigs, 1.0)


# ── Drawing ───────────────────────────────────────────────────────────────────────────────────


def draw(tree: Tree, filled: Field, space: Space, *, thicker_mm: float = 0.0) -> None:
    """Add to each voxel, [z, y, x], the share of it that a tree fills; trees that meet add up.

    Args:
        tree: what to draw.
        filled: the voxels, changed in place.
        space: their grid.
        thicker_mm: added to each radius, for the wall of an airway.
    """
    points, radii = _balls(tree)
    radii = radii + thicker_mm
    classes = np.searchsorted(RADIUS_CLASSES_MM[:-1], radii)
    for each in np.unique(classes):
        chosen = classes == each
        _stamp(filled, space, points[chosen], radii[chosen])


def _balls(tree: Tree) -> tuple[Points, NDArray[np.float64]]:
    """Return places a millimetre apart along all branches, and the radius at each."""
    ends, starts = tree.nodes_mm[1:], tree.nodes_mm[tree.parents[1:]]
    lengths = np.linalg.norm(ends - starts, axis=1)
    counts = np.maximum(1, np.rint(lengths / SAMPLE_MM).astype(int))
    piece = np.repeat(np.arange(len(ends)), counts)
    order = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts)
    along = ((order + 0.5) / counts[piece])[:, None]
    points = starts[piece] + along * (ends - starts)[piece]
    return points, tree.radii_mm[1:][piece]


def _stamp(filled: Field, space: Space, points: Points, radii: NDArray[np.float64]) -> None:
    """Add discs of about one size: each spreads the volume of its millimetre of branch."""
    thickness_mm, pixel_mm, _ = space.spacing_mm
    places = space.to_indices(points)
    reach = int(np.ceil(radii.max() / pixel_mm)) + 1
    steps = np.arange(-reach, reach + 1)
    middle = np.rint(places[:, 1:]).astype(int)
    down = (middle[:, :1] + steps)[:, :, None]  # [n, k, 1]
    right = (middle[:, 1:] + steps)[:, None, :]  # [n, 1, k]
    away = pixel_mm * np.hypot(down - places[:, 1, None, None], right - places[:, 2, None, None])
    disc = np.clip((radii[:, None, None] - away) / pixel_mm + 0.5, 0, 1)  # [n, k, k]
    disc /= np.maximum(disc.sum(axis=(1, 2), keepdims=True), 1e-6)
    volume = np.pi * radii**2 * SAMPLE_MM / (pixel_mm**2 * thickness_mm)
    for index, share in _slices(places[:, 0], radii / thickness_mm):
        amount = disc * (volume * share)[:, None, None]
        _add(filled, index[:, None, None], down, right, amount)


def _slices(
    places: NDArray[np.float64], radii: NDArray[np.float64]
) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Return slice indices and how much of each ball lies there; all in units of slices."""
    base = np.rint(places).astype(np.intp)
    shares = []
    for step in (-1, 0, 1):
        low = np.maximum(places - radii, base + step - 0.5)
        high = np.minimum(places + radii, base + step + 0.5)
        shares.append((base + step, np.maximum(high - low, 0) / np.maximum(2 * radii, 1e-6)))
    return shares


def _add(
    filled: Field,
    z: NDArray[np.intp],
    y: NDArray[np.intp],
    x: NDArray[np.intp],
    amount: NDArray[np.float64],
) -> None:
    slices, rows, columns = filled.shape
    z, y, x = np.broadcast_arrays(z, y, x)
    inside = (z >= 0) & (z < slices) & (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    inside &= amount > 0
    np.add.at(filled, (z[inside], y[inside], x[inside]), amount[inside].astype(np.float32))
