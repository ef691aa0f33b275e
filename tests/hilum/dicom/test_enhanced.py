"""Enhanced multi-frame CT is read as the classic series it could have been."""

import io
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from highdicom.seg import segread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
    generate_uid,
)

from hilum.catalogue import CT_LESIONS
from hilum.dicom.maker import to_bytes
from hilum.dicom.multiframe import MultiFrame
from hilum.dicom.quality import Outcome, score_series
from hilum.dicom.quiet import quiet
from hilum.dicom.read import read_slice, read_slices, read_study, read_volume
from hilum.dicom.seg import segment_numbers, segmentation
from hilum.dicom.selection import choose_ct_series
from hilum.errors import HilumError, NoCtSeries, UnknownSlice
from hilum.volume import Volume
from tests import phantoms
from tests.enhanced import enhanced, frame, rescaled
from tests.hilum.dicom.results import analysis_in
from tests.phantoms import chest

Slices = list[Dataset]


def read(folder: Path) -> Volume:
    return read_volume(choose_ct_series(read_study(folder)).series)


def shuffled(slices: Slices) -> Slices:
    random.Random(7).shuffle(slices)
    return slices


# ── The same volume ───────────────────────────────────────────────────────────────────────────


def encoded(whole: Dataset, syntax: str) -> Slices:
    whole.compress(syntax, generate_instance_uid=False)
    return [whole]


def without_offsets(whole: Dataset) -> Slices:
    """Encode without a table of where frames begin; each is found by counting."""
    encoded(whole, RLELossless)
    frames = list(generate_frames(whole.PixelData, number_of_frames=whole.NumberOfFrames))
    whole.PixelData = encapsulate(frames, has_bot=False)
    return [whole]


def with_syntax(whole: Dataset, syntax: str) -> Slices:
    whole.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        whole.PixelData = np.frombuffer(whole.PixelData, "<u2").astype(">u2").tobytes()
    return [whole]


def in_two_files(slices: Slices) -> Slices:
    return [enhanced(slices[:9]), enhanced(slices[9:], shared=False)]


def converted(slices: Slices) -> Slices:
    """Let highdicom write it, which knows nothing of us."""
    made = LegacyConvertedEnhancedCTImage(
        slices,
        series_instance_uid=generate_uid(),
        series_number=3,
        sop_instance_uid=generate_uid(),
        instance_number=1,
    )
    for group in (*made.PerFrameFunctionalGroupsSequence, *made.SharedFunctionalGroupsSequence):
        if "PixelValueTransformationSequence" in group:
            # It takes what it cannot be sure of for unspecified.
            group.PixelValueTransformationSequence[0].RescaleType = "HU"
    return [made]


WRITTEN: dict[str, Callable[[Slices], Slices]] = {
    "what is alike is said once": lambda s: [enhanced(s)],
    "each frame says all": lambda s: [enhanced(s, shared=False)],
    "two files": in_two_files,
    "one file a frame": lambda s: [enhanced([one]) for one in s],
    "legacy converted": lambda s: [enhanced(s, sop_class=LegacyConvertedEnhancedCTImageStorage)],
    "converted by highdicom": converted,
    "implicit VR": lambda s: with_syntax(enhanced(s), ImplicitVRLittleEndian),
    "big endian": lambda s: with_syntax(enhanced(s), ExplicitVRBigEndian),
    "deflated": lambda s: with_syntax(enhanced(s), DeflatedExplicitVRLittleEndian),
    "RLE": lambda s: encoded(enhanced(s), RLELossless),
    "RLE without offsets": lambda s: without_offsets(enhanced(s)),
    "JPEG 2000": lambda s: encoded(enhanced(s), JPEG2000Lossless),
    "JPEG-LS": lambda s: encoded(enhanced(s, shared=False), JPEGLSLossless),
}

ACQUIRED: dict[str, Callable[[Slices], Slices]] = {
    "tilted": lambda s: phantoms.tilted(s, 12.0),
    "columns run the other way": lambda s: phantoms.turned(s, rows=1, columns=-1),
    "rows and columns run the other way": lambda s: phantoms.turned(s, rows=-1, columns=-1),
    "rows for columns": phantoms.transposed,
    "feet first": phantoms.reversed_numbers,
    "a slice twice": lambda s: phantoms.repeated(s, 5),
}


def assert_same(one: Volume, other: Volume) -> None:
    np.testing.assert_array_equal(one.voxels, other.voxels)
    np.testing.assert_array_equal(one.affine, other.affine)
    assert one.spacing_mm == other.spacing_mm
    assert one.warnings == other.warnings


@pytest.mark.parametrize("how", WRITTEN)
def test_however_it_is_written_the_volume_is_that_of_the_classic_series(
    how: str, tmp_path: Path
) -> None:
    slices = shuffled(rescaled(chest().datasets()))
    with quiet():
        phantoms.write(tmp_path / "classic", slices)
        phantoms.write(tmp_path / "enhanced", WRITTEN[how](slices))

    volume = read(tmp_path / "enhanced")

    np.testing.assert_array_equal(volume.voxels, chest().voxels)
    assert_same(volume, read(tmp_path / "classic"))


@pytest.mark.parametrize("how", ACQUIRED)
def test_however_it_was_acquired_the_volume_is_that_of_the_classic_series(
    how: str, tmp_path: Path
) -> None:
    slices = shuffled(rescaled(ACQUIRED[how](chest().datasets())))
    phantoms.write(tmp_path / "classic", slices)
    phantoms.write(tmp_path / "enhanced", [enhanced(slices)])

    assert_same(read(tmp_path / "enhanced"), read(tmp_path / "classic"))


def test_each_slice_is_known_by_its_instance_and_frame(tmp_path: Path) -> None:
    slices = shuffled(chest().datasets())
    whole = enhanced(slices)
    phantoms.write(tmp_path, [whole])

    volume = read(tmp_path)

    assert set(volume.instance_uids) == {whole.SOPInstanceUID}
    heights = [slices[number - 1].ImagePositionPatient[2] for number in volume.frame_numbers]
    assert heights == sorted(heights)


def test_what_a_frame_says_of_itself_goes_before_what_all_share(tmp_path: Path) -> None:
    whole = enhanced(chest().datasets())
    own = Dataset()
    own.RescaleSlope, own.RescaleIntercept, own.RescaleType = 1, 976, "HU"
    frame(whole, 24).PixelValueTransformationSequence = [own]
    phantoms.write(tmp_path, [whole])

    volume = read(tmp_path)

    lowest = np.clip(chest().voxels[0].astype(int) + 2000, -1024, 3071)
    np.testing.assert_array_equal(volume.voxels[0], lowest)
    np.testing.assert_array_equal(volume.voxels[1:], chest().voxels[1:])


def test_padding_of_frames_becomes_air(tmp_path: Path) -> None:
    slices = chest().datasets()
    whole = enhanced(slices)
    bone = int(phantoms.pixels(slices[0]).max())
    whole.add_new("PixelPaddingValue", "US", bone)
    phantoms.write(tmp_path, [whole])

    expected = np.where(chest().voxels == bone - 1024, -1024, chest().voxels)
    np.testing.assert_array_equal(read(tmp_path).voxels, expected)


# ── Choice and sheet ──────────────────────────────────────────────────────────────────────────


def test_it_is_chosen_by_its_slices_and_its_kernel(tmp_path: Path) -> None:
    soft = phantoms.as_series(chest().datasets()[:20], ConvolutionKernel="STANDARD")
    phantoms.write(tmp_path, [*soft, enhanced(chest().datasets())])

    choice = choose_ct_series(read_study(tmp_path))

    assert (choice.series.kernel, len(choice.series.instances)) == ("LUNG", 24)
    assert "24 slices with lung kernel LUNG" in choice.reason


def test_a_study_holds_one_instance_a_file(tmp_path: Path) -> None:
    phantoms.write(tmp_path, in_two_files(chest().datasets()))

    [series] = read_study(tmp_path).series

    assert [len(one.slices) for one in series.instances] == [9, 15]
    assert len(series.by_slice().instances) == 24


def test_its_sheet_counts_files_and_frames_and_describes_slices(tmp_path: Path) -> None:
    slices = phantoms.tilted(rescaled(chest().datasets()), 12.0)
    phantoms.write(tmp_path, in_two_files(slices))

    [sheet] = score_series(read_study(tmp_path))

    assert (sheet.outcome, sheet.code, sheet.plane) == (Outcome.CHOSEN, None, "axial")
    assert (sheet.instances, sheet.frames, sheet.rows, sheet.kernel) == (2, 24, 192, "LUNG")
    assert (sheet.has_rescale, sheet.burned_in) == (True, "no")
    assert sheet.pixel_spacing_mm == pytest.approx((400 / 192, 400 / 192), abs=1e-6)
    assert sheet.steps is not None
    assert (sheet.steps.slices, sheet.steps.gaps) == (24, 0)
    assert sheet.steps.tilt_degrees == pytest.approx(12, abs=0.1)


def test_projections_among_frames_are_left_out(tmp_path: Path) -> None:
    whole = enhanced(chest().datasets())
    kind = Dataset()
    kind.FrameType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    kind.VolumeBasedCalculationTechnique = "MAX_IP"
    frame(whole, 1).CTImageFrameTypeSequence = [kind]
    phantoms.write(tmp_path, [whole])

    np.testing.assert_array_equal(read(tmp_path).voxels, chest().voxels[:-1])


# ── Single frames ─────────────────────────────────────────────────────────────────────────────


def test_one_frame_is_read_alone(tmp_path: Path) -> None:
    phantoms.write(tmp_path, encoded(enhanced(rescaled(chest().datasets())), RLELossless))

    image, spacing_mm = read_slice(tmp_path / "0000.dcm", 3)

    np.testing.assert_array_equal(image, chest().voxels[-4])
    assert spacing_mm == pytest.approx((400 / 192, 400 / 192), abs=1e-6)


def test_a_file_of_one_frame_is_a_slice(tmp_path: Path) -> None:
    phantoms.write(tmp_path, [enhanced(chest().datasets()[:1])])

    np.testing.assert_array_equal(read_slice(tmp_path / "0000.dcm")[0], chest().voxels[-1])


def test_a_file_of_many_frames_is_no_slice(tmp_path: Path) -> None:
    phantoms.write(tmp_path, [enhanced(chest().datasets())])

    with pytest.raises(NoCtSeries, match="holds 24 slices, expected one"):
        read_slice(tmp_path / "0000.dcm")


def test_a_frame_that_is_not_there_is_refused(tmp_path: Path) -> None:
    phantoms.write(tmp_path, [enhanced(chest().datasets())])

    with pytest.raises(UnknownSlice, match="has no frame 25; there are 1 to 24"):
        read_slice(tmp_path / "0000.dcm", 24)


# ── What it costs ─────────────────────────────────────────────────────────────────────────────


def test_its_pixels_are_held_in_memory_once(tmp_path: Path) -> None:
    phantoms.write(tmp_path, [enhanced(chest().datasets())])
    series = read_study(tmp_path).series[0]
    read_volume(series)

    tracemalloc.start()
    volume = read_volume(series)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1.5 * volume.voxels.nbytes


def test_a_file_is_opened_once_for_all_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = chest().datasets()
    phantoms.write(tmp_path, [enhanced(slices[::2]), enhanced(slices[1::2])])
    series = read_study(tmp_path).series[0]
    opened: list[Path] = []
    original = MultiFrame.open
    monkeypatch.setattr(
        MultiFrame, "open", lambda path, keywords: opened.append(path) or original(path, keywords)
    )

    read_volume(series)

    assert sorted(opened) == sorted(tmp_path.iterdir())


# ── Refusals ──────────────────────────────────────────────────────────────────────────────────


def outcome(folder: Path) -> tuple[str, str]:
    """Return the code of what keeps a series from being read, by sheet or by its pixels."""
    [sheet] = score_series(read_study(folder))
    try:
        read(folder)
    except HilumError as error:
        return error.code, error.message
    return sheet.outcome.value, ""


def lacking(*keywords: str) -> Callable[[Dataset], None]:
    """Take functional groups out of the whole instance."""

    def change(whole: Dataset) -> None:
        for group in (
            *whole.SharedFunctionalGroupsSequence,
            *whole.PerFrameFunctionalGroupsSequence,
        ):
            for keyword in keywords:
                group.pop(keyword, None)

    return change


def emptied(keyword: str) -> Callable[[Dataset], None]:
    def change(whole: Dataset) -> None:
        for group in (
            *whole.SharedFunctionalGroupsSequence,
            *whole.PerFrameFunctionalGroupsSequence,
        ):
            if keyword in group:
                setattr(group, keyword, [])

    return change


def saying(**values: object) -> Callable[[Dataset], None]:
    def change(whole: Dataset) -> None:
        for keyword, value in values.items():
            setattr(whole, keyword, value)

    return change


def retyped(kind: str, value: object, *, keyword: str) -> Callable[[Dataset], None]:
    def change(whole: Dataset) -> None:
        whole.add_new(keyword, kind, value)

    return change


def position_of_frame_5(value: object, kind: str = "DS") -> Callable[[Dataset], None]:
    def change(whole: Dataset) -> None:
        frame(whole, 5).PlanePositionSequence[0].add_new("ImagePositionPatient", kind, value)

    return change


def rescale_type(value: str) -> Callable[[Dataset], None]:
    def change(whole: Dataset) -> None:
        shared = whole.SharedFunctionalGroupsSequence[0]
        shared.PixelValueTransformationSequence[0].RescaleType = value

    return change


def without_group_5(whole: Dataset) -> None:
    del whole.PerFrameFunctionalGroupsSequence[4]


def frames_out(whole: Dataset) -> None:
    for number in (9, 8):
        del whole.PerFrameFunctionalGroupsSequence[number]
    size = whole.Rows * whole.Columns * 2
    whole.PixelData = whole.PixelData[: 8 * size] + whole.PixelData[10 * size :]
    whole.NumberOfFrames = 22


def cut_short(whole: Dataset) -> None:
    whole.PixelData = whole.PixelData[: len(whole.PixelData) // 2]


def cut_short_before_more(whole: Dataset) -> None:
    cut_short(whole)
    whole.add_new(0xFFFCFFFC, "OB", bytes(2 * len(whole.PixelData)))


def fragments_out(whole: Dataset) -> None:
    whole.compress(RLELossless, generate_instance_uid=False)
    frames = list(generate_frames(whole.PixelData, number_of_frames=24))
    whole.PixelData = encapsulate(frames[:20], has_bot=False)


def kind_of_all(*values: str) -> Callable[[Dataset], None]:
    def change(whole: Dataset) -> None:
        shared = whole.SharedFunctionalGroupsSequence[0]
        shared.CTImageFrameTypeSequence[0].FrameType = list(values)

    return change


REFUSED: dict[str, tuple[Callable[[Dataset], None], str, str]] = {
    "no groups of frames": (
        lambda whole: delattr(whole, "PerFrameFunctionalGroupsSequence"),
        "missing_position",
        "frame 1 of instance 1 has no usable position",
    ),
    "no group at all": (
        saying(PerFrameFunctionalGroupsSequence=[], SharedFunctionalGroupsSequence=[]),
        "missing_position",
        "frame 1 of instance 1",
    ),
    "no shared groups": (
        saying(SharedFunctionalGroupsSequence=[]), "missing_position", "24 of 24 slices lack it",
    ),
    "groups that are text": (
        retyped("LO", "nothing", keyword="PerFrameFunctionalGroupsSequence"),
        "missing_position",
        "frame 1 of instance 1",
    ),
    "shared groups that are bytes": (
        retyped("OB", b"\x01\x02", keyword="SharedFunctionalGroupsSequence"),
        "missing_position",
        "24 of 24 slices",
    ),
    "no pixel measures": (lacking("PixelMeasuresSequence"), "missing_spacing", "24 of 24"),
    "no orientation": (lacking("PlaneOrientationSequence"), "missing_position", "24 of 24"),
    "no position": (lacking("PlanePositionSequence"), "missing_position", "24 of 24"),
    "no rescale": (lacking("PixelValueTransformationSequence"), "missing_rescale", "to HU"),
    "empty pixel measures": (emptied("PixelMeasuresSequence"), "missing_spacing", "24 of 24"),
    "empty positions": (emptied("PlanePositionSequence"), "missing_position", "24 of 24"),
    "empty rescale": (emptied("PixelValueTransformationSequence"), "missing_rescale", "24 of 24"),
    "a position in words": (position_of_frame_5("here", "LO"), "missing_position", "frame 5 of"),
    "a position of two numbers": (position_of_frame_5([1, 2]), "missing_position", "1 of 24"),
    "no position of one": (position_of_frame_5(None), "missing_position", "frame 5 of"),
    "values of another kind": (rescale_type("US"), "missing_rescale", "to HU"),
    "a group too few": (without_group_5, "missing_position", "frame 24 of instance 1"),
    "more frames than groups": (saying(NumberOfFrames=30), "missing_position", "frame 25 of"),
    "a billion frames": (saying(NumberOfFrames=10**9), "missing_position", "1 of 25 slices"),
    "fewer frames than groups": (
        saying(NumberOfFrames=20), "unreadable_pixels", "frame 21 of instance 1 has no image",
    ),
    "no number of frames": (
        lambda whole: delattr(whole, "NumberOfFrames"), "unreadable_pixels", "no image in its file",
    ),
    "frames below none": (saying(NumberOfFrames=-3), "unreadable_pixels", "no image in its file"),
    "frames missing": (frames_out, "missing_slices", "mm between frame"),
    "pixels cut short": (cut_short, "unreadable_pixels", "Frame 24 of Instance 1"),
    "pixels cut short, and more behind": (cut_short_before_more, "unreadable_pixels", "Frame 24"),
    "no pixels": (lambda whole: delattr(whole, "PixelData"), "unreadable_pixels", "Frame 24"),
    "fewer fragments than frames": (fragments_out, "unreadable_pixels", "cannot be decoded"),
    "scouts": (kind_of_all("ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"), "no_ct_series", "LOCALIZER"),
    "differences": (kind_of_all("DERIVED", "PRIMARY", "VOLUME", "SUBTRACTION"), "no_ct_series", "cross"),
    "another modality": (saying(Modality="MR"), "no_ct_series", "modality MR"),
    "colour": (saying(SamplesPerPixel=3), "unreadable_pixels", "samples a pixel"),
    "no size": (saying(Rows=0), "mixed_sizes", "no rows and columns"),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_read_is_refused_by_name(why: str, tmp_path: Path) -> None:
    change, code, words = REFUSED[why]
    whole = enhanced(chest().datasets())
    with quiet():
        change(whole)
        phantoms.write(tmp_path, [whole])

    found, message = outcome(tmp_path)

    assert (found, words in message) == (code, True), message


def test_two_frames_at_one_place_with_different_pixels_are_refused(tmp_path: Path) -> None:
    phantoms.write(tmp_path, [enhanced(phantoms.clashing(chest().datasets(), 5))])

    found, message = outcome(tmp_path)

    assert found == "duplicate_positions"
    assert "frame 5 of instance 1 and frame 25 of instance 1 lie at the same" in message


def test_phases_of_a_time_series_are_refused(tmp_path: Path) -> None:
    slices = chest().datasets()
    later = [phantoms.clashing([one], 1)[-1] for one in slices]
    phantoms.write(tmp_path, [enhanced([*slices, *later])])

    assert outcome(tmp_path)[0] == "duplicate_positions"


def test_frames_of_two_sizes_are_refused(tmp_path: Path) -> None:
    slices = phantoms.setting(chest().datasets(), [3], PixelSpacing=[1, 1])
    phantoms.write(tmp_path, [enhanced(slices)])

    assert outcome(tmp_path)[0] == "mixed_sizes"


def test_two_stacks_that_face_different_ways_are_refused(tmp_path: Path) -> None:
    phantoms.write(tmp_path, [enhanced(phantoms.mixed_orientations(chest().datasets()))])

    assert outcome(tmp_path)[0] == "mixed_orientations"


# ── Results ───────────────────────────────────────────────────────────────────────────────────

LABELS = CT_LESIONS.labels


@pytest.mark.parametrize("how", ["what is alike is said once", "two files", "one file a frame"])
@pytest.mark.parametrize("acquired", ["tilted", "rows and columns run the other way"])
def test_the_mask_comes_back_to_the_pixel_on_the_frames_it_was_found_in(
    how: str, acquired: str, tmp_path: Path
) -> None:
    slices = shuffled(rescaled(ACQUIRED[acquired](chest().datasets())))
    files = WRITTEN[how](slices)
    analysis = analysis_in(phantoms.write(tmp_path, files), chest())
    data = to_bytes(segmentation(analysis, LABELS), deflated=True)

    segmented = segread(io.BytesIO(data))

    numbers = segment_numbers(analysis, LABELS)
    names = list(
        zip(
            [one.SOPInstanceUID for one in analysis.source.headers],
            analysis.source.frame_numbers,
            strict=True,
        )
    )
    for (uid, number), expected in zip(names, numbers, strict=True):
        if expected.any():
            [found] = segmented.get_pixels_by_source_frame(uid, [number], combine_segments=True)
            upright = analysis.source.turn.apply(found.astype(np.int16))
            np.testing.assert_array_equal(upright, expected)


def test_results_name_each_instance_once_and_frames_where_it_matters(tmp_path: Path) -> None:
    files = in_two_files(shuffled(chest().datasets()))
    analysis = analysis_in(phantoms.write(tmp_path, files), chest())

    segmented = segmentation(analysis, LABELS)

    expected = sorted((one.SOPClassUID, one.SOPInstanceUID) for one in files)
    [series] = segmented.ReferencedSeriesSequence
    for sequence in (series.ReferencedInstanceSequence, segmented.SourceImageSequence):
        named = [(one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID) for one in sequence]
        assert sorted(named) == expected
    assert {one.SOPClassUID for one in analysis.source.headers} == {files[0].SOPClassUID}
    assert len(analysis.source.instances()) == len(files)


def test_thickness_of_frames_is_handed_on(tmp_path: Path) -> None:
    slices = phantoms.setting(chest().datasets(), None, SliceThickness=7.5)

    analysis = analysis_in(phantoms.write(tmp_path, [enhanced(slices)]), chest())

    assert {float(one.SliceThickness) for one in analysis.source.headers} == {7.5}


def test_frames_one_by_one_are_the_slices_of_the_volume(tmp_path: Path) -> None:
    slices = chest().datasets()
    phantoms.write(tmp_path, [enhanced(slices[8:]), enhanced(slices[:8])])
    volume = read_volume(read_study(tmp_path).series[0])
    paths = {dcmread(path).SOPInstanceUID: path for path in tmp_path.iterdir()}
    places = zip(volume.instance_uids, volume.frame_numbers, strict=True)

    frames = list(read_slices((paths[uid], number - 1) for uid, number in places))

    np.testing.assert_array_equal(np.stack(frames), volume.voxels)
