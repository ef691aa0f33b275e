# SPDX-License-Identifier: Apache-2.0
"""The trees of both lungs: arteries, veins and bronchi, with the windpipe they hang from."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hilum.findings import LEFT_LUNG, RIGHT_LUNG
from hilum.phantom.space import Field, Space
from hilum.phantom.tree import Tree, draw, grow

ARTERY_ROOT: Final = {RIGHT_LUNG: (18.0, -2.0, -34.0), LEFT_LUNG: (26.0, 0.0, 36.0)}
VEIN_ROOT: Final = {RIGHT_LUNG: (-12.0, 2.0, -30.0), LEFT_LUNG: (-8.0, 6.0, 34.0)}
BRONCHUS_ROOT: Final = {RIGHT_LUNG: (22.0, 8.0, -26.0), LEFT_LUNG: (20.0, 10.0, 30.0)}
"""z, y, x in millimetres, where each enters its lung."""

CARINA: Final = (50.0, 6.0, 0.0)
"""Where the windpipe divides."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How a kind of tree grows.

    Attributes:
        twigs: ends in each lung.
        twig_mm: their radius.
        reach: how far from the root towards the edge of the lung they come, 0..1.
    """

    twigs: int
    twig_mm: float
    reach: float


VESSELS: Final = Growth(twigs=620, twig_mm=0.56, reach=1.0)
BRONCHI: Final = Growth(twigs=22, twig_mm=0.95, reach=0.55)
"""Bronchi are lost to the eye halfway to the ribs."""

BRONCHOGRAM: Final = Growth(twigs=110, twig_mm=0.75, reach=0.95)
"""Where lung is consolidated, the air in smaller ones shows."""

TRACHEA_MM: Final = 8.5
MAIN_BRONCHUS_MM: Final = 5.8
WALL_MM: Final = 1.0


@dataclass(frozen=True, slots=True)
class Trees:
    """How much of each voxel is what, 0..1, [z, y, x].

    Attributes:
        blood: arteries and veins.
        windpipe: the air in the windpipe and the two main bronchi.
        bronchi: the air in the bronchi of the lungs.
        walls: all airways, air included.
        bronchogram: the air in bronchi that only consolidated lung shows.
    """

    blood: Field
    windpipe: Field
    bronchi: Field
    walls: Field
    bronchogram: Field


def grow_trees(space: Space, lungs: NDArray[np.uint8], rng: np.random.Generator) -> Trees:
    """Return the trees that feed these lungs."""
    trees = Trees(*(np.zeros(space.shape, np.float32) for _ in range(5)))
    _draw_airway(_tube((CARINA, (160.0, 0.0, 0.0)), TRACHEA_MM), trees.windpipe, trees, space)
    for lung in (RIGHT_LUNG, LEFT_LUNG):
        where = np.argwhere(lungs == lung)
        for root in (ARTERY_ROOT[lung], VEIN_ROOT[lung]):
            draw(_feed(space, where, root, VESSELS, rng), trees.blood, space)
        bronchus = BRONCHUS_ROOT[lung]
        _draw_airway(_tube((CARINA, bronchus), MAIN_BRONCHUS_MM), trees.windpipe, trees, space)
        _draw_airway(_feed(space, where, bronchus, BRONCHI, rng), trees.bronchi, trees, space)
        draw(_feed(space, where, bronchus, BRONCHOGRAM, rng), trees.bronchogram, space)
    for name in Trees.__slots__:
        np.minimum(getattr(trees, name), 1.0, out=getattr(trees, name))
    return trees


def _draw_airway(tree: Tree, lumen: Field, trees: Trees, space: Space) -> None:
    draw(tree, lumen, space)
    draw(tree, trees.walls, space, thicker_mm=WALL_MM)


def _feed(
    space: Space,
    where: NDArray[np.intp],
    root: tuple[float, float, float],
    growth: Growth,
    rng: np.random.Generator,
) -> Tree:
    """Return a tree whose twigs end at random voxels of a lung, [n, (z, y, x)]."""
    chosen = where[rng.integers(len(where), size=growth.twigs)]
    ends = space.to_mm(chosen + rng.uniform(-0.5, 0.5, chosen.shape))
    targets = root + growth.reach * (ends - np.array(root))
    return grow(root, targets, twig_mm=growth.twig_mm, rng=rng)


def _tube(
    ends_mm: tuple[tuple[float, float, float], tuple[float, float, float]], radius_mm: float
) -> Tree:
    return Tree(np.array(ends_mm), np.zeros(2, np.intp), np.full(2, radius_mm))
