"""Spacing comes from the affine, and the window maps its ends to 0 and 1."""

import numpy as np
import pytest

from hilum.volume import Volume, apply_window


def volume_with(affine: np.ndarray) -> Volume:
    return Volume(np.zeros((2, 2, 2), np.int16), affine, ("1", "2"))


def test_spacing_is_the_length_of_each_step() -> None:
    volume = volume_with(np.diag([5.0, 0.8, 0.7, 1.0])[[2, 1, 0, 3]])

    assert volume.spacing_mm == pytest.approx((5.0, 0.8, 0.7))
    assert volume.voxel_ml == pytest.approx(5.0 * 0.8 * 0.7 / 1000)


def test_a_tilted_gantry_measures_between_planes_not_along_the_table() -> None:
    angle = np.radians(20)
    rows = 0.8 * np.array([0, np.cos(angle), np.sin(angle)])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = [0, 0, 5], rows, [0.7, 0, 0]

    volume = volume_with(affine)

    assert volume.spacing_mm == pytest.approx((5 * np.cos(angle), 0.8, 0.7))


def test_the_window_clips_at_both_ends() -> None:
    hu = np.array([-3000, -1250, -500, 250, 3000], np.int16)

    assert apply_window(hu).tolist() == pytest.approx([0, 0, 0.5, 1, 1])
