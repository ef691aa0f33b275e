import numpy as np
import pytest

from hilum.phantom.space import Ripple, Space


def test_indices_and_millimetres_are_each_other_s_inverse() -> None:
    space = Space(slices=20, size_px=64)
    points_mm = np.array([[0.0, 0.0, 0.0], [-100.0, 50.0, 30.0]])

    indices = space.to_indices(points_mm)

    np.testing.assert_allclose(space.to_mm(indices), points_mm)
    np.testing.assert_allclose((space.affine @ (*indices[1], 1))[:3], points_mm[1][::-1])


@pytest.mark.parametrize("size_px", [64, 128])
def test_ripple_has_mean_zero_and_deviation_one(size_px: int) -> None:
    space = Space(slices=30, size_px=size_px)

    field = Ripple(space, np.random.default_rng(1), length_mm=15.0).everywhere()

    assert field.shape == space.shape
    assert field.mean() == pytest.approx(0, abs=0.05)
    assert field.std() == pytest.approx(1, abs=0.05)


def test_ripple_is_smooth_over_its_length() -> None:
    space = Space(slices=30, size_px=200)

    field = Ripple(space, np.random.default_rng(1), length_mm=40.0).at(15)

    # One pixel is a twentieth of a bump.
    assert np.abs(np.diff(field)).max() < 0.3
