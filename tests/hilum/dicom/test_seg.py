import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from highdicom.seg import Segmentation, segread
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from hilum.catalogue import CT_LESIONS
from hilum.dicom.maker import to_bytes
from hilum.dicom.seg import segment_numbers, segmentation, segments
from hilum.findings import Analysis
from hilum.phantom import Phantom
from tests.enhanced import enhanced
from tests.hilum.dicom.results import analysis_in, errors_of
from tests.phantoms import (
    chest,
    healthy,
    reversed_numbers,
    tilted,
    transposed,
    turned,
    write,
    write_chest,
)

LABELS = CT_LESIONS.labels

STORED: dict[str, Callable[[list[Dataset]], list[Dataset]]] = {
    "plain": lambda slices: slices,
    "feet first": reversed_numbers,
    "upside down": lambda slices: turned(slices, rows=-1, columns=1),
    "mirrored": lambda slices: turned(slices, rows=1, columns=-1),
    "prone": lambda slices: turned(slices, rows=-1, columns=-1),
    "transposed": transposed,
    "tilted": lambda slices: tilted(slices, 12.0),
    "enhanced": lambda slices: [enhanced(turned(slices, rows=-1, columns=1))],
    "enhanced in two files": lambda slices: [enhanced(slices[:9]), enhanced(slices[9:])],
}


def kept(analysis: Analysis) -> Segmentation:
    """Make the object, write it as a file, and read it back."""
    data = to_bytes(segmentation(analysis, LABELS), deflated=True)
    return segread(io.BytesIO(data))


def places(segmented: Segmentation, number: int) -> set[tuple[float, ...]]:
    """Return where the pixels of a segment lie in the patient, by the object's own geometry."""
    shared = segmented.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down_mm, across_mm = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    found: set[tuple[float, ...]] = set()
    for pixels, group in zip(
        np.atleast_3d(segmented.pixel_array.reshape(-1, segmented.Rows, segmented.Columns)),
        segmented.PerFrameFunctionalGroupsSequence,
        strict=True,
    ):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
            rows, columns = np.nonzero(pixels)
            points = (
                origin
                + np.outer(columns * across_mm, cosines[:3])
                + np.outer(rows * down_mm, cosines[3:])
            )
            found |= rounded(points)
    return found


def rounded(points: NDArray[np.float64]) -> set[tuple[float, ...]]:
    # A tenth of a millimetre is less than a voxel and more than what decimal strings round.
    return {tuple(point) for point in np.round(points, 1) + 0.0}


def planted(phantom: Phantom, numbers: NDArray[np.uint8], number: int) -> set[tuple[float, ...]]:
    """Return where a segment lies by the phantom's own affine."""
    voxels = np.argwhere(numbers == number)
    return rounded(voxels @ phantom.affine[:3, :3].T + phantom.affine[:3, 3])


@pytest.mark.parametrize("how", [name for name in STORED if name != "tilted"])
def test_each_pixel_lies_where_its_lesion_was_planted(how: str, tmp_path: Path) -> None:
    phantom = chest()
    analysis = analysis_in(write(tmp_path, STORED[how](phantom.datasets())), phantom)

    segmented = kept(analysis)

    numbers = segment_numbers(analysis, LABELS)
    assert set(np.unique(numbers)) == {0, 1, 2, 3, 4}
    for one in segments(LABELS):
        assert places(segmented, one.number) == planted(phantom, numbers, one.number)


@pytest.mark.parametrize("how", [name for name in STORED if "enhanced" not in name])
def test_the_mask_comes_back_to_the_pixel_on_the_slices_it_was_found_in(
    how: str, tmp_path: Path
) -> None:
    phantom = chest()
    analysis = analysis_in(write(tmp_path, STORED[how](phantom.datasets())), phantom)
    uids = [header.SOPInstanceUID for header in analysis.source.headers]

    pixels = kept(analysis).get_pixels_by_source_instance(
        uids, combine_segments=True, assert_missing_frames_are_empty=True
    )

    upright = [np.array(analysis.source.turn.apply(plane)) for plane in pixels.astype(np.int16)]
    np.testing.assert_array_equal(upright, segment_numbers(analysis, LABELS))


def test_volumes_read_back_are_those_of_the_report(tmp_path: Path) -> None:
    analysis = analysis_in(write_chest(tmp_path), chest())

    segmented = kept(analysis)

    for label in LABELS:
        numbers = [one.number for one in segments(LABELS) if one.label is label]
        pixels = sum(len(places(segmented, number)) for number in numbers)
        volume_ml = pixels * analysis.volume.voxel_ml
        assert volume_ml == pytest.approx(analysis.report.total.by_label[label.name])


def test_segments_say_class_lung_and_network(tmp_path: Path) -> None:
    segmented = kept(analysis_in(write_chest(tmp_path), chest()))

    said = [
        (
            one.SegmentNumber,
            one.SegmentLabel,
            one.SegmentedPropertyTypeCodeSequence[0].CodeValue,
            one.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeMeaning,
        )
        for one in segmented.SegmentSequence
    ]
    assert said == [
        (1, "ground-glass opacity, right lung", "112120", "Right"),
        (2, "ground-glass opacity, left lung", "112120", "Left"),
        (3, "consolidation, right lung", "9656002", "Right"),
        (4, "consolidation, left lung", "9656002", "Left"),
    ]
    identified = segmented.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert (identified.AlgorithmName, identified.AlgorithmVersion) == ("truth", "0")
    assert "0" * 64 in identified.AlgorithmParameters


def test_it_belongs_to_patient_study_and_frame_of_its_slices(tmp_path: Path) -> None:
    analysis = analysis_in(write_chest(tmp_path), chest())

    segmented = kept(analysis)

    slices = chest().datasets()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert segmented[keyword].value == slices[0][keyword].value
    assert segmented.SeriesInstanceUID != slices[0].SeriesInstanceUID
    referred = segmented.ReferencedSeriesSequence[0]
    assert referred.SeriesInstanceUID == slices[0].SeriesInstanceUID
    assert segmented.ContentQualification == "RESEARCH"


def test_only_frames_with_a_lesion_are_kept_and_little_room_is_taken(tmp_path: Path) -> None:
    analysis = analysis_in(write_chest(tmp_path), chest())
    source_bytes = sum(path.stat().st_size for path in tmp_path.iterdir())

    data = to_bytes(segmentation(analysis, LABELS), deflated=True)

    segmented = segread(io.BytesIO(data))
    assert segmented.pixel_array.any(axis=(1, 2)).all()
    assert len(data) < 0.05 * source_bytes


def test_a_healthy_chest_has_one_empty_frame_a_segment(tmp_path: Path) -> None:
    segmented = kept(analysis_in(write_chest(tmp_path, healthy()), healthy()))

    assert len(segmented.SegmentSequence) == segmented.NumberOfFrames == 4
    assert not segmented.pixel_array.any()


@pytest.mark.parametrize("how", STORED)
def test_the_validator_holds_nothing_against_it(how: str, tmp_path: Path) -> None:
    phantom = chest()
    analysis = analysis_in(write(tmp_path / "ct", STORED[how](phantom.datasets())), phantom)

    assert errors_of(segmentation(analysis, LABELS), tmp_path) == []
