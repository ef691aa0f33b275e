from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from hilum.dicom.read import read_study, read_volume
from hilum.errors import (
    DuplicatePositions,
    MissingPosition,
    MissingRescale,
    MissingSlices,
    MissingSpacing,
    MixedOrientations,
    MixedSizes,
    NotAxial,
    SeriesError,
    SingleSlice,
)
from hilum.volume import Volume
from tests import phantoms
from tests.phantoms import chest


def read(folder: Path, slices: Sequence[Dataset]) -> Volume:
    phantoms.write(folder, slices)
    return read_volume(read_study(folder).series[0])


def test_gap_is_reported_with_its_neighbours_and_distance(tmp_path: Path) -> None:
    with pytest.raises(MissingSlices) as caught:
        read(tmp_path, phantoms.missing(chest().datasets(), [11]))

    step = chest().volume.spacing_mm[0]
    assert f"{2 * step:.1f} mm between instance 12 (z " in caught.value.message
    assert "and instance 10 (z" in caught.value.message
    assert caught.value.message.endswith(f"expected {step:.1f} mm.")


def test_slices_missing_at_an_end_cannot_be_seen(tmp_path: Path) -> None:
    volume = read(tmp_path, phantoms.missing(chest().datasets(), [1, 2, 24]))

    assert len(volume.voxels) == 21


def test_slice_sent_twice_is_read_once_with_a_warning(tmp_path: Path) -> None:
    volume = read(tmp_path, phantoms.repeated(chest().datasets(), 5))

    np.testing.assert_array_equal(volume.voxels, chest().voxels)
    assert volume.warnings == ("1 slice sent more than once; each was read once.",)


def test_whole_series_sent_twice_is_read_once(tmp_path: Path) -> None:
    slices = chest().datasets()

    volume = read(tmp_path, [*slices, *slices])

    np.testing.assert_array_equal(volume.voxels, chest().voxels)
    assert volume.warnings == ("24 slices sent more than once; each was read once.",)


def test_two_images_at_one_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DuplicatePositions, match="instance 5 and instance 5 lie at the same"):
        read(tmp_path, phantoms.clashing(chest().datasets(), 5))


def test_slice_squeezed_between_two_is_refused(tmp_path: Path) -> None:
    slices = chest().datasets()
    x, y, z = slices[6].ImagePositionPatient
    squeezed = phantoms.as_series(
        slices[6:7],
        SeriesInstanceUID=slices[0].SeriesInstanceUID,
        ImagePositionPatient=[x, y, float(z) + 2.0],
    )

    with pytest.raises(DuplicatePositions, match=r"2\.0 mm between instance 7 .* and instance 7"):
        read(tmp_path, [*slices, *squeezed])


def test_uneven_spacing_is_mentioned_and_its_mean_used(tmp_path: Path) -> None:
    slices = chest().datasets()
    for dataset in slices[:12]:
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, float(z) + 3.0]

    volume = read(tmp_path, slices)

    assert volume.spacing_mm[0] == pytest.approx((23 * 308 / 24 + 3) / 23, abs=1e-3)
    assert volume.warnings == (
        "Slices lie 12.83 to 15.83 mm apart; the mean of 12.96 mm was used.",
    )


def test_tilted_gantry_is_accepted_with_the_true_distance(tmp_path: Path) -> None:
    volume = read(tmp_path, phantoms.tilted(chest().datasets(), 15))

    assert volume.spacing_mm[0] == pytest.approx(308 / 24 * np.cos(np.radians(15)), abs=1e-3)
    assert volume.voxel_ml == pytest.approx(chest().voxel_ml * np.cos(np.radians(15)), rel=1e-4)
    [warning] = volume.warnings
    assert warning == (
        "The gantry was tilted by 15.0 degrees; volumes use the distance of 12.40 mm along the"
        " slice normal."
    )


def test_voxels_of_a_tilted_series_lie_where_their_headers_say(tmp_path: Path) -> None:
    slices = phantoms.tilted(chest().datasets(), 15)

    volume = read(tmp_path, slices)

    lowest, top = slices[-1], slices[0]
    corner_mm = volume.affine @ (23, 0, 0, 1)
    np.testing.assert_allclose(corner_mm[:3], np.array(top.ImagePositionPatient, float), atol=1e-3)
    row_mm = np.array(lowest.ImageOrientationPatient[3:], float) * lowest.PixelSpacing[0]
    np.testing.assert_allclose(volume.affine[:3, 1], row_mm, atol=1e-4)


def test_origins_off_the_line_are_mentioned(tmp_path: Path) -> None:
    slices = chest().datasets()
    x, y, z = slices[9].ImagePositionPatient
    slices[9].ImagePositionPatient = [float(x) + 4.0, y, z]

    volume = read(tmp_path, slices)

    assert volume.warnings == ("Slice origins stray up to 4.0 mm from a straight line.",)


def test_pixels_need_not_be_square(tmp_path: Path) -> None:
    volume = read(tmp_path, phantoms.setting(chest().datasets(), None, PixelSpacing=[2.0, 1.5]))

    assert volume.spacing_mm[1:] == (2.0, 1.5)


Defect = Callable[[list[Dataset]], list[Dataset]]

REFUSED: dict[str, tuple[Defect, type[SeriesError], str]] = {
    "one slice": (lambda slices: slices[:1], SingleSlice, "has 1 slice at .* at least 3"),
    "two slices": (lambda slices: slices[:2], SingleSlice, "has 2 slices at"),
    "one slice thrice": (lambda slices: slices[:1] * 3, SingleSlice, "has 1 slice at"),
    "some upright": (phantoms.mixed_orientations, MixedOrientations, "turned 90.0 degrees"),
    "all upright": (phantoms.coronal, NotAxial, "lean 90 degrees from axial, expected at most 30"),
    "leaning far": (lambda slices: phantoms.tilted(slices, 40), NotAxial, "lean 40 degrees"),
    "other pixel spacing": (
        lambda slices: phantoms.setting(slices, [7], PixelSpacing=[0.5, 0.5]),
        MixedSizes,
        "instance 7 is 192 x 192 px of 0.5 x 0.5 mm",
    ),
    "other size": (lambda slices: phantoms.cropped(slices, 7), MixedSizes, "is 96 x 192 px"),
    "no size": (lambda slices: phantoms.without(slices, "Rows"), MixedSizes, "no rows and columns"),
    "no slope": (
        lambda slices: phantoms.without(slices, "RescaleSlope"),
        MissingRescale,
        "instance 1 has no usable rescale .*; 24 of 24 slices lack it",
    ),
    "no intercept on one": (
        lambda slices: [*phantoms.without(slices[:1], "RescaleIntercept"), *slices[1:]],
        MissingRescale,
        "1 of 24 slices",
    ),
    "slope of zero": (
        lambda slices: phantoms.setting(slices, [3], RescaleSlope=0),
        MissingRescale,
        "instance 3",
    ),
    "no spacing": (
        lambda slices: phantoms.without(slices, "PixelSpacing"),
        MissingSpacing,
        "no usable pixel spacing",
    ),
    "spacing of zero": (
        lambda slices: phantoms.setting(slices, [3], PixelSpacing=[0, 0]),
        MissingSpacing,
        "instance 3",
    ),
    "no position": (
        lambda slices: phantoms.without(slices, "ImagePositionPatient"),
        MissingPosition,
        "no usable position and orientation",
    ),
    "no orientation": (
        lambda slices: phantoms.without(slices, "ImageOrientationPatient"),
        MissingPosition,
        "no usable position and orientation",
    ),
    "skewed orientation": (
        lambda slices: phantoms.setting(slices, [3], ImageOrientationPatient=[1, 0, 0, 1, 0, 0]),
        MissingPosition,
        "instance 3",
    ),
}


@pytest.mark.parametrize(("defect", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_series_that_is_no_grid_is_refused_by_name(
    tmp_path: Path, defect: Defect, error: type[SeriesError], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(tmp_path, defect(chest().datasets()))


def test_slice_without_a_number_is_named_by_its_uid(tmp_path: Path) -> None:
    slices = phantoms.without(chest().datasets(), "InstanceNumber")

    with pytest.raises(MissingSlices, match=r"between instance 2\.25\.\d+ \(z"):
        read(tmp_path, [*slices[:9], *slices[10:]])
