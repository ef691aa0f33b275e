from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from hilum.dicom import geometry
from hilum.dicom.geometry import Turn
from hilum.study import Instance

AXIAL = Instance(
    sop_instance_uid="1.2",
    path=Path(),
    transfer_syntax_uid="",
    rows=20,
    columns=30,
    pixel_spacing_mm=(0.5, 0.8),
    orientation=(1, 0, 0, 0, 1, 0),
    position_mm=(-10.0, -20.0, 30.0),
    has_rescale=True,
)

AXIAL_ORIENTATIONS = [
    (*row, *column)
    for a, b in product((1, -1), repeat=2)
    for row, column in (((a, 0, 0), (0, b, 0)), ((0, a, 0), (b, 0, 0)))
]


@pytest.mark.parametrize("orientation", AXIAL_ORIENTATIONS)
def test_normal_points_to_the_head_however_the_slice_is_stored(
    orientation: tuple[float, float, float, float, float, float],
) -> None:
    normal = geometry.normal(replace(AXIAL, orientation=orientation))

    np.testing.assert_array_equal(normal, (0, 0, 1))


@pytest.mark.parametrize("orientation", AXIAL_ORIENTATIONS)
def test_turned_voxels_keep_their_place_in_the_patient(
    orientation: tuple[float, float, float, float, float, float],
) -> None:
    low = replace(AXIAL, orientation=orientation)
    high = replace(low, position_mm=(-10.0, -20.0, 35.0))
    turn = Turn.of(low)
    stored = np.arange(600, dtype=np.int16).reshape(20, 30)

    upright = turn.apply(stored)
    affine = geometry.grid_affine([low, high], turn)

    assert affine[0, 2] > 0
    assert affine[1, 1] > 0
    y, x = (int(axis[0]) for axis in np.nonzero(upright == stored[3, 4]))
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    expected_mm = np.array(low.position_mm) + 4 * 0.8 * row + 3 * 0.5 * column
    np.testing.assert_allclose((affine @ (0, y, x, 1))[:3], expected_mm)
    np.testing.assert_allclose((affine @ (1, y, x, 1))[:3], expected_mm + np.array([0, 0, 5]))


def test_coronal_slice_leans_ninety_degrees_from_axial() -> None:
    coronal = replace(AXIAL, orientation=(1, 0, 0, 0, 0, -1))

    assert geometry.axial_angle(coronal) == pytest.approx(90)


def test_rounded_cosines_are_made_whole() -> None:
    rounded = replace(AXIAL, orientation=(0.999, 0.0, 0.0, 0.0, 1.001, 0.0))

    assert geometry.axial_angle(rounded) == 0
