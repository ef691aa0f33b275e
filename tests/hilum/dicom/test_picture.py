from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate_extended, get_frame
from pydicom.uid import RLELossless, SegmentationStorage

from hilum.dicom.frames import Frames
from hilum.dicom.picture import Window, picture
from hilum.dicom.transcode import to_explicit
from hilum.errors import UnreadableObject, UnreadablePixels
from tests import phantoms
from tests.phantoms import chest, compressed, setting, without

STORED_MAX = 4095


@pytest.fixture
def dataset() -> Dataset:
    return chest().datasets()[12]


def drawn(folder: Path, dataset: Dataset) -> NDArray[np.uint8]:
    return np.asarray(picture(phantoms.write(folder, [dataset]) / "0000.dcm", 1))


def test_first_of_several_windows_counts(tmp_path: Path, dataset: Dataset) -> None:
    alone = drawn(tmp_path / "alone", dataset)
    setting([dataset], None, WindowCenter=[-600, 40], WindowWidth=[1500, 400])

    assert np.array_equal(drawn(tmp_path / "several", dataset), alone)


def test_palette_gives_colours(tmp_path: Path, dataset: Dataset) -> None:
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for number, name in enumerate(("Red", "Green", "Blue")):
        table = np.full(STORED_MAX + 1, number << 8, "<u2")
        descriptor = [STORED_MAX + 1, 0, 16]
        dataset.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", descriptor)
        setattr(dataset, f"{name}PaletteColorLookupTableData", table.tobytes())

    assert drawn(tmp_path, dataset).reshape(-1, 3).tolist() == [[0, 1, 2]] * dataset.Rows**2


def test_sixteen_bits_of_colour_become_eight(tmp_path: Path, dataset: Dataset) -> None:
    changes = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 1}
    setting([dataset], None, **changes, BitsStored=16, HighBit=15)
    gray = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData *= 3

    found = drawn(tmp_path, dataset)

    assert np.array_equal(found, np.repeat((gray >> 8)[..., None], 3, axis=2))
    assert Frames.open(tmp_path / "0000.dcm").decoded(1) == dataset.PixelData


def test_share_of_a_segment_is_gray(tmp_path: Path, dataset: Dataset) -> None:
    setting([dataset], None, BitsAllocated=8, BitsStored=8, HighBit=7, MaximumFractionalValue=200)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.PixelData = bytes([100]) * dataset.Rows * dataset.Columns

    assert np.unique(drawn(tmp_path, dataset)).tolist() == [127]


def test_table_of_the_modality_stands_for_a_rescale(tmp_path: Path, dataset: Dataset) -> None:
    linear = drawn(tmp_path / "linear", dataset)
    # The same values, moved up by 1024 since a table has no negative ones.
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [STORED_MAX + 1, 0, 16])
    table.add_new("LUTData", "OW", np.arange(STORED_MAX + 1).astype("<u2").tobytes())
    table.ModalityLUTType = "US"
    dataset.ModalityLUTSequence, dataset.WindowCenter = [table], 424

    [dataset] = without([dataset], "RescaleSlope", "RescaleIntercept")
    assert np.array_equal(drawn(tmp_path / "table", dataset), linear)


def test_colour_table_that_is_broken_is_refused(tmp_path: Path, dataset: Dataset) -> None:
    dataset.PhotometricInterpretation = "PALETTE COLOR"

    with pytest.raises(UnreadablePixels, match="cannot be drawn"):
        drawn(tmp_path, dataset)


def test_narrowest_window_is_a_threshold() -> None:
    seen = Window(40.0, 1.0).apply(np.array([39.0, 39.5, 39.6, 41.0]))

    assert seen.tolist() == [0, 0, 1, 1]


def test_frames_are_found_by_extended_offsets(tmp_path: Path, dataset: Dataset) -> None:
    original = dataset.pixel_array
    [packed] = compressed([dataset], RLELossless)
    frame = get_frame(packed.PixelData, 0, number_of_frames=1)
    packed.NumberOfFrames = 2
    packed.PixelData, packed.ExtendedOffsetTable, packed.ExtendedOffsetTableLengths = (
        encapsulate_extended([frame, frame])
    )
    path = phantoms.write(tmp_path, [packed]) / "0000.dcm"

    found = Frames.open(path)

    assert found.stored(2).rstrip(b"\x00") == frame.rstrip(b"\x00")
    assert found.decoded(2) == original.tobytes()
    assert b"\xe0\x7f\x01\x00OV" not in to_explicit(path)


def test_object_that_ends_early_is_not_written_anew(tmp_path: Path, dataset: Dataset) -> None:
    path = phantoms.write(tmp_path, [dataset]) / "0000.dcm"
    path.write_bytes(path.read_bytes()[:-2])

    with pytest.raises(UnreadableObject, match="ends before its last value"):
        to_explicit(path)


def test_pixels_that_would_fill_the_memory_are_not_decoded(
    tmp_path: Path, dataset: Dataset
) -> None:
    [packed] = compressed([dataset], RLELossless)
    packed.NumberOfFrames = 100_000
    path = phantoms.write(tmp_path, [packed]) / "0000.dcm"

    with pytest.raises(UnreadablePixels, match="cannot be decoded"):
        to_explicit(path)
