import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless

from hilum.dicom.header import read_header
from hilum.dicom.pixels import read_hu
from hilum.errors import MissingRescale, UnreadablePixels, UnsupportedTransferSyntax
from hilum.study import Instance
from tests import phantoms
from tests.phantoms import chest


def written(folder: Path, dataset: Dataset) -> Instance:
    phantoms.write(folder, [dataset])
    header = read_header(folder / "0000.dcm")
    assert header is not None
    return header.instance


def tiny(values: list[int], **attributes: object) -> Dataset:
    """Return a slice of one row whose stored values are these."""
    dataset = chest().datasets()[0]
    is_signed = attributes.get("PixelRepresentation") == 1
    phantoms.setting([dataset], None, Rows=1, Columns=len(values), **attributes)
    dataset.BitsStored, dataset.HighBit = 16, 15
    dataset.PixelData = np.array(values, "<i2" if is_signed else "<u2").tobytes()
    return dataset


def hu(folder: Path, dataset: Dataset) -> list[int]:
    return [int(value) for value in read_hu(written(folder, dataset)).ravel()]


def test_rescale_turns_stored_values_into_hounsfield_units(tmp_path: Path) -> None:
    dataset = tiny([0, 524, 1024, 1064], RescaleSlope=1, RescaleIntercept=-1024)

    assert hu(tmp_path, dataset) == [-1024, -500, 0, 40]


def test_fractional_rescale_is_rounded(tmp_path: Path) -> None:
    dataset = tiny([0, 1, 2, 3], RescaleSlope="0.4", RescaleIntercept="-10.5")

    assert hu(tmp_path, dataset) == [-10, -10, -10, -9]


def test_each_slice_is_rescaled_by_its_own_header(tmp_path: Path) -> None:
    one = written(tmp_path / "one", tiny([100], RescaleSlope=1, RescaleIntercept=0))
    other = written(tmp_path / "other", tiny([100], RescaleSlope=2, RescaleIntercept=-5))

    assert (int(read_hu(one)[0, 0]), int(read_hu(other)[0, 0])) == (100, 195)


def test_signed_values_are_read_as_such(tmp_path: Path) -> None:
    dataset = tiny([-1000, -1, 40], PixelRepresentation=1, RescaleIntercept=0)

    assert hu(tmp_path, dataset) == [-1000, -1, 40]


def test_values_outside_a_scanner_s_range_are_clipped(tmp_path: Path) -> None:
    dataset = tiny([-2000, 32000, 0], PixelRepresentation=1, RescaleIntercept=0)

    assert hu(tmp_path, dataset) == [-1024, 3071, 0]


def test_padding_becomes_air(tmp_path: Path) -> None:
    dataset = tiny([1124, 2000, 1200], RescaleIntercept=-1024)
    dataset.add_new("PixelPaddingValue", "US", 2000)

    assert hu(tmp_path, dataset) == [100, -1024, 176]


def test_range_of_padding_becomes_air(tmp_path: Path) -> None:
    dataset = tiny([1124, 2000, 2005, 2011], RescaleIntercept=-1024)
    dataset.add_new("PixelPaddingValue", "US", 2010)
    dataset.add_new("PixelPaddingRangeLimit", "US", 2000)

    assert hu(tmp_path, dataset) == [100, -1024, -1024, 987]


def test_padding_written_with_the_wrong_sign_is_understood(tmp_path: Path) -> None:
    dataset = tiny([-2000, 40], PixelRepresentation=1, RescaleSlope=-1, RescaleIntercept=0)
    dataset.add_new("PixelPaddingValue", "US", 63536)

    assert hu(tmp_path, dataset) == [-1024, -40]


def test_monochrome1_is_about_screens_and_changes_no_value(tmp_path: Path) -> None:
    dataset = tiny([1064], PhotometricInterpretation="MONOCHROME1", RescaleIntercept=-1024)

    assert hu(tmp_path, dataset) == [40]


def test_colour_is_refused(tmp_path: Path) -> None:
    dataset = tiny([0, 0, 0], SamplesPerPixel=3, PhotometricInterpretation="RGB")

    with pytest.raises(UnreadablePixels, match="3 samples a pixel, expected 1"):
        hu(tmp_path, dataset)


def test_several_frames_of_a_classic_slice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePixels, match="has 2 frames, expected 1"):
        hu(tmp_path, tiny([0, 0], NumberOfFrames=2))


def test_slice_without_rescale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingRescale, match="expected both"):
        hu(tmp_path, phantoms.without([tiny([0])], "RescaleSlope")[0])


def test_slice_without_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadablePixels, match=r"Instance 1 .* cannot be decoded"):
        hu(tmp_path, phantoms.without([tiny([0])], "PixelData")[0])


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.52", "1.2.3"], ids=str
)
def test_syntax_without_a_decoder_is_refused_by_name(tmp_path: Path, syntax: str) -> None:
    instance = replace(written(tmp_path, tiny([0])), transfer_syntax_uid=syntax)

    with pytest.raises(UnsupportedTransferSyntax, match=syntax):
        read_hu(instance)


def test_file_that_vanished_is_refused(tmp_path: Path) -> None:
    instance = written(tmp_path, tiny([0]))
    instance.path.unlink()

    with pytest.raises(UnreadablePixels, match="is not a readable DICOM file"):
        read_hu(instance)


def test_frame_that_claims_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    dataset = phantoms.compressed(chest().datasets()[:1], JPEG2000Lossless)[0]
    width = dataset.PixelData.index(b"\xff\x51") + 6
    dataset.PixelData = (
        dataset.PixelData[:width] + struct.pack(">I", 60_000) + dataset.PixelData[width + 4 :]
    )

    with pytest.raises(UnreadablePixels, match=r"decodes to \(192, 60000\), expected \(192, 192\)"):
        hu(tmp_path, dataset)


def test_size_that_no_scanner_makes_is_refused_before_there_is_room_for_it(tmp_path: Path) -> None:
    [dataset] = phantoms.compressed(chest().datasets()[:1])
    dataset.Rows = dataset.Columns = 65535

    with pytest.raises(UnreadablePixels, match="65535 x 65535 px, expected at most 4096"):
        hu(tmp_path, dataset)


def test_damaged_rle_is_refused_and_panics_nothing(tmp_path: Path) -> None:
    dataset = phantoms.compressed(chest().datasets()[:1])[0]
    dataset.PixelData = dataset.PixelData[:100] + bytes([127]) * (len(dataset.PixelData) - 100)

    with pytest.raises(UnreadablePixels, match="cannot be decoded"):
        hu(tmp_path, dataset)
