import numpy as np
import pytest

from hilum.phantom.space import HEIGHT_MM, WIDTH_MM, Space
from hilum.phantom.tree import CALIBRE_POWER, Tree, draw, grow

SPACE = Space(slices=60, size_px=200)


def tube(start: tuple[float, float, float], end: tuple[float, float, float], radius: float) -> Tree:
    return Tree(np.array([start, end]), np.zeros(2, np.intp), np.full(2, radius))


@pytest.mark.parametrize(
    "end", [(80.0, 0.0, 0.0), (0.0, 80.0, 0.0), (0.0, 0.0, 80.0), (50.0, 40.0, 30.0)]
)
def test_drawn_branch_has_the_volume_of_its_cylinder(end: tuple[float, float, float]) -> None:
    filled = np.zeros(SPACE.shape, np.float32)

    draw(tube((0.0, 0.0, 0.0), end, 4.0), filled, SPACE)

    expected_ml = np.pi * 4.0**2 * np.linalg.norm(end) / 1000
    assert filled.sum() * SPACE.voxel_ml == pytest.approx(expected_ml, rel=0.03)


def test_branch_that_leaves_the_grid_is_cut_at_its_edge() -> None:
    filled = np.zeros(SPACE.shape, np.float32)

    draw(tube((0.0, 0.0, 0.0), (0.0, 0.0, WIDTH_MM), 3.0), filled, SPACE)

    expected_ml = np.pi * 3.0**2 * WIDTH_MM / 2 / 1000
    assert filled.sum() * SPACE.voxel_ml == pytest.approx(expected_ml, rel=0.05)


def test_tree_reaches_every_target_and_thins_on_the_way() -> None:
    rng = np.random.default_rng(2)
    targets = rng.uniform(-HEIGHT_MM / 3, HEIGHT_MM / 3, (80, 3))

    tree = grow((0.0, 0.0, 0.0), targets, twig_mm=0.5, rng=rng)

    gaps = np.linalg.norm(tree.nodes_mm[:, None] - targets, axis=2).min(axis=0)
    assert gaps.max() < 1e-6
    assert (tree.radii_mm[1:] <= tree.radii_mm[tree.parents[1:]]).all()
    assert tree.radii_mm.min() == 0.5
    ends = len(tree.parents) - len(np.unique(tree.parents))
    assert tree.radii_mm[0] == pytest.approx(0.5 * ends**CALIBRE_POWER)
