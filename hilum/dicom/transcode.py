# SPDX-License-Identifier: Apache-2.0
"""A stored object as Explicit VR Little Endian, which everybody reads."""

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom import dcmwrite
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian

from hilum.dicom import header
from hilum.dicom.codestream import claimed_size
from hilum.dicom.pixels import PLUGINS
from hilum.dicom.quiet import quiet
from hilum.errors import UnreadableObject, UnreadablePixels

LARGEST_OBJECT: Final = 2**31
"""Bytes of decoded pixels: a few bytes of a codestream may stand for gigabytes."""

WORDS: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
"""Bytes of a word, of values whose order pydicom leaves alone."""

UNDEFINED_LENGTH: Final = 0xFFFFFFFF


def to_explicit(path: Path) -> bytes:
    """Return an object with its pixels decoded, encoded anew.

    Raises:
        UnreadableObject: the file is no DICOM, or holds values that cannot be written again.
        UnreadablePixels: the pixels cannot be decoded.
    """
    with quiet():
        dataset = header.open_dataset(path)
        if dataset is None:
            raise UnreadableObject(f"{path.name} is not a readable DICOM file.")
        syntax = UID(header.transfer_syntax(dataset))
        dataset.file_meta.TransferSyntaxUID = syntax
        if _is_cut_short(dataset):
            raise UnreadableObject(f"{path.name} ends before its last value does.")
        if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
            _decode(dataset)
        try:
            return _encode(dataset, is_little=bool(dataset.original_encoding[1]))
        except (*header.BROKEN, RuntimeError) as error:
            raise UnreadableObject(
                f"Instance {header.uid(dataset, 'SOPInstanceUID')} cannot be written again"
                f" ({type(error).__name__})."
            ) from error


def _is_cut_short(dataset: Dataset) -> bool:
    """Tell whether values are missing, which pydicom passes over; written anew nobody could tell."""
    if not dataset:
        return True
    last: Any = dataset.get_item(max(dataset.keys()))
    if not isinstance(last, RawDataElement) or last.length == UNDEFINED_LENGTH:
        return False
    return len(last.value or b"") != last.length


def _decode(dataset: Dataset) -> None:
    try:
        _check_sizes(dataset)
        plugin = PLUGINS.get(str(dataset.file_meta.TransferSyntaxUID), "")
        dataset.decompress(decoding_plugin=plugin, generate_instance_uid=False)
    except (*header.BROKEN, RuntimeError) as error:
        raise UnreadablePixels(
            f"Instance {header.uid(dataset, 'SOPInstanceUID')}: the pixel data cannot be decoded"
            f" ({type(error).__name__})."
        ) from error
    for gone in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if gone in dataset:
            delattr(dataset, gone)


def _check_sizes(dataset: Dataset) -> None:
    frames, size = (
        max(header.integer(dataset, "NumberOfFrames") or 1, 1),
        (dataset.Rows, dataset.Columns),
    )
    needed = frames * dataset.Rows * dataset.Columns * dataset.SamplesPerPixel
    if needed * dataset.BitsAllocated // 8 > LARGEST_OBJECT:
        raise ValueError(f"The pixels take {needed} values, which is too many.")
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        if claimed_size(frame) not in {None, size}:
            raise ValueError(f"A frame claims {claimed_size(frame)}, expected {size}.")


def _encode(dataset: Dataset, *, is_little: bool) -> bytes:
    if not is_little:
        _turn_words(dataset)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # What a file begins with may be another object's.
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def _turn_words(dataset: Dataset) -> None:
    def turn(around: Dataset, element: DataElement) -> None:
        width = WORDS.get(element.VR, 1)
        if element.keyword == "PixelData":
            width = max(width, (header.integer(around, "BitsAllocated") or 8) // 8)
        if width > 1 and element.value:
            element.value = little_endian(element.value, width)

    dataset.walk(turn)


def little_endian(value: Any, width: int) -> bytes:
    """Return big endian words of this many bytes the other way round."""
    return np.frombuffer(value, f">u{width}").astype(f"<u{width}").tobytes()
