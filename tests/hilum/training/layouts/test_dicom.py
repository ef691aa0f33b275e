from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from hilum.errors import ConfigurationError
from hilum.training.folds import group_of
from hilum.training.layouts import read_examples
from tests.enhanced import enhanced
from tests.hilum.training.layouts.conftest import Marked, assert_same
from tests.hilum.training.layouts.segmentations import GROUND_GLASS, segmentation
from tests.phantoms import as_series, transposed, turned, write


def _masks(marked: Marked) -> list[np.ndarray]:
    # The phantom writes its topmost slice first.
    return list(marked.labels[::-1])


def test_a_segmentation_becomes_the_labels_of_its_series(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    write(tmp_path, [*slices, segmentation(slices, _masks(marked))])

    found = read_examples(tmp_path)

    assert_same(found, marked)
    assert group_of(found[0].name) == "patient000"


@pytest.mark.parametrize("by_position", [False, True])
@pytest.mark.parametrize("fractional", [False, True])
def test_however_it_is_stored_a_segmentation_means_the_same(
    marked: Marked, tmp_path: Path, *, fractional: bool, by_position: bool
) -> None:
    slices = marked.phantom.datasets()
    seg = segmentation(slices, _masks(marked), fractional=fractional, by_position=by_position)
    write(tmp_path, [*slices, seg])

    assert_same(read_examples(tmp_path), marked)


@pytest.mark.parametrize(("rows", "columns"), [(-1, 1), (1, -1), (-1, -1)])
def test_a_series_stored_upside_down_becomes_upright_with_its_labels(
    marked: Marked, tmp_path: Path, rows: int, columns: int
) -> None:
    slices = turned(marked.phantom.datasets(), rows=rows, columns=columns)
    masks = [mask[::rows, ::columns] for mask in _masks(marked)]
    write(tmp_path, [*slices, segmentation(slices, masks)])

    assert_same(read_examples(tmp_path), marked)


def test_a_segmentation_may_be_stored_otherwise_than_its_series(
    marked: Marked, tmp_path: Path
) -> None:
    upright = marked.phantom.datasets()
    seg = segmentation(upright, _masks(marked))
    write(tmp_path, [*transposed(marked.phantom.datasets()), seg])

    assert_same(read_examples(tmp_path), marked)


def test_a_segmentation_of_an_enhanced_series_is_found_by_its_frames(
    marked: Marked, tmp_path: Path
) -> None:
    slices = marked.phantom.datasets()
    frames = {one.SOPInstanceUID: number for number, one in enumerate(slices, 1)}
    whole, seg = enhanced(slices), segmentation(slices, _masks(marked))
    for own in seg.PerFrameFunctionalGroupsSequence:
        [source] = own.DerivationImageSequence[0].SourceImageSequence
        source.ReferencedFrameNumber = frames[source.ReferencedSOPInstanceUID]
        source.ReferencedSOPInstanceUID = whole.SOPInstanceUID
        del own.PlanePositionSequence
    write(tmp_path, [whole, seg])

    assert_same(read_examples(tmp_path), marked)


def test_segments_of_other_makers_are_known_by_their_names(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    segments = {1: ("x1", "99SITE", "GGO left and right"), 2: ("x2", "99SITE", "Consolidations")}
    write(tmp_path, [*slices, segmentation(slices, _masks(marked), segments=segments)])

    assert_same(read_examples(tmp_path), marked)


def test_one_segmentation_for_each_class_is_read_as_one(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    first = segmentation(slices, [(mask == 1) * np.uint8(1) for mask in _masks(marked)])
    second = segmentation(slices, [(mask == 2) * np.uint8(2) for mask in _masks(marked)])
    write(tmp_path, [*slices, first, second])

    assert_same(read_examples(tmp_path), marked)


def test_a_series_that_nobody_drew_on_is_passed_over(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    other = as_series(slices, SeriesDescription="Soft")
    write(tmp_path, [*other, *slices, segmentation(slices, _masks(marked))])

    assert_same(read_examples(tmp_path), marked)


def _refused(folder: Path, datasets: list[Dataset]) -> str:
    write(folder, datasets)
    with pytest.raises(ConfigurationError) as caught:
        read_examples(folder)
    return caught.value.message


def test_a_segmentation_of_absent_slices_is_refused(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()

    message = _refused(tmp_path, [*as_series(slices), segmentation(slices, _masks(marked))])

    assert "none of the 3 slices that this segmentation refers to is in study" in message


def test_segments_of_other_things_are_refused_by_name(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    segments = {2: ("80891009", "SCT", "Heart")}

    message = _refused(tmp_path, [*slices, segmentation(slices, _masks(marked), segments=segments)])

    assert "segments 'Heart', expected one of ground-glass opacity, consolidation" in message


def test_a_segmentation_of_lungs_beside_one_of_lesions_is_passed_over(
    marked: Marked, tmp_path: Path
) -> None:
    slices = marked.phantom.datasets()
    lungs = segmentation(slices, _masks(marked), segments={1: ("39607008", "SCT", "Lung")})
    write(tmp_path, [*slices, lungs, segmentation(slices, _masks(marked))])

    assert_same(read_examples(tmp_path), marked)


def test_a_segmentation_of_broken_references_is_refused(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    write(tmp_path, slices)
    (path,) = write(tmp_path / "seg", [segmentation(slices, _masks(marked))]).iterdir()
    content = path.read_bytes()
    # A UID that says it is a number: headers are read without it.
    path.write_bytes(content.replace(b"\x08\x00\x55\x11UI", b"\x08\x00\x55\x11FD"))

    with pytest.raises(ConfigurationError, match=r"not a usable segmentation \(BytesLength"):
        read_examples(tmp_path)


def test_a_cropped_segmentation_is_refused(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    seg = segmentation(slices, _masks(marked), segments={1: GROUND_GLASS}, fractional=True)
    seg.Rows //= 2
    seg.PixelData = seg.PixelData[: seg.NumberOfFrames * seg.Rows * seg.Columns]

    assert "frames of (96, 192) pixels, expected (192, 192)" in _refused(tmp_path, [*slices, seg])


def test_a_segmentation_without_its_sequences_is_refused(marked: Marked, tmp_path: Path) -> None:
    slices = marked.phantom.datasets()
    seg = segmentation(slices, _masks(marked))
    del seg.SegmentSequence

    message = _refused(tmp_path, [*slices, seg])

    assert "not a usable segmentation (AttributeError" in message
