# SPDX-License-Identifier: Apache-2.0
"""The pixels of instances and of their frames as Hounsfield units."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import as_pixel_options, pixel_array
from pydicom.uid import UID, RLELossless

from hilum.dicom import header
from hilum.dicom.codestream import claimed_size
from hilum.dicom.multiframe import MultiFrame
from hilum.dicom.quiet import quiet
from hilum.dicom.syntaxes import BYTE, is_readable
from hilum.errors import MissingRescale, UnreadablePixels, UnsupportedTransferSyntax
from hilum.study import Instance

LOWEST_HU: Final = -1024
"""Air, padding and whatever lies below: the floor of a 12-bit CT."""

HIGHEST_HU: Final = 3071
"""The ceiling of a 12-bit CT; metal beyond it says nothing about lungs."""

KEYWORDS: Final = [
    *header.KEYWORDS,
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
]

MAX_SIDE_PX: Final = 4096
"""Twice what scanners reconstruct at most; decoders make room for all that a header claims."""

KEPT_OPEN: Final = 4
"""Files of frames that stay open: neighbouring slices may lie in different ones."""

PLUGINS: Final = {str(RLELossless): "pydicom"}
"""Decoders to insist on: the Rust one for RLE panics on damaged data, past every `except`."""


class Images:
    """Images of instances; a file of many frames stays open, so that its header is parsed once."""

    def __init__(self) -> None:
        self._open: dict[Path, MultiFrame] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as closing:
            for file in self._open.values():
                closing.callback(file.close)

    def read_hu(self, instance: Instance) -> NDArray[np.int16]:
        """Return the image of one instance or frame in Hounsfield units, [y, x], -1024..3071.

        MONOCHROME1 tells a screen to show low values bright; the values themselves are the same
        (PS3.3 C.7.6.3.1.2), so it changes nothing here.

        Raises:
            UnsupportedTransferSyntax: no decoder is installed.
            UnreadablePixels: the pixel data is absent, cut short, damaged or in colour.
            MissingRescale: slope or intercept is absent or not a number.
        """
        with quiet():
            dataset = self._dataset(instance)
            if dataset is None:
                raise UnreadablePixels(f"{_name(instance)} is not a readable DICOM file.")
            stored = _decode(dataset, instance)
            return _rescale(stored, dataset, instance)

    def _dataset(self, instance: Instance) -> Dataset | None:
        if instance.frames == 1:
            return header.open_dataset(instance.path, keywords=KEYWORDS)
        file = self._open.pop(instance.path, None) or MultiFrame.open(instance.path, KEYWORDS)
        if file is None:
            return None
        # The last used goes last, so the first is the one longest out of use.
        self._open[instance.path] = file
        if len(self._open) > KEPT_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return file.rewound()


def read_hu(instance: Instance) -> NDArray[np.int16]:
    """Return the image of one instance or frame in Hounsfield units; see `Images.read_hu`."""
    with Images() as images:
        return images.read_hu(instance)


def _decode(dataset: Dataset, instance: Instance) -> NDArray[Any]:
    _check_decoder(dataset, instance)
    _check_plain(dataset, instance)
    _check_side(instance)
    if not hasattr(dataset.file_meta, "TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = UID(instance.transfer_syntax_uid)
    try:
        _check_size(_claimed_size(dataset, instance), instance)
        stored: NDArray[Any] = pixel_array(
            dataset,
            raw=True,
            index=instance.frame if instance.frames > 1 else None,
            decoding_plugin=PLUGINS.get(instance.transfer_syntax_uid, ""),
        )
    except (*header.BROKEN, RuntimeError) as error:
        # The decoder's own words may quote the header; its class says enough.
        raise UnreadablePixels(
            f"{_name(instance)}: the pixel data cannot be decoded ({type(error).__name__})."
        ) from error
    _check_size(stored.shape, instance)
    return stored


def _claimed_size(dataset: Dataset, instance: Instance) -> tuple[int, ...] | None:
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return None
    frame = get_frame(
        dataset.PixelData,
        instance.frame,
        number_of_frames=instance.frames,
        extended_offsets=as_pixel_options(dataset).get("extended_offsets"),
    )
    return claimed_size(frame)


def _check_size(found: tuple[int, ...] | None, instance: Instance) -> None:
    expected = (instance.rows, instance.columns)
    if found is not None and found != expected:
        raise UnreadablePixels(
            f"{_name(instance)}: the pixel data decodes to {found}, expected {expected}."
        )


def _check_decoder(dataset: Dataset, instance: Instance) -> None:
    syntax, bits = UID(instance.transfer_syntax_uid), header.integer(dataset, "BitsStored") or BYTE
    if not is_readable(syntax, bits=bits):
        raise UnsupportedTransferSyntax(
            f"{_name(instance)}: no decoder is installed for transfer syntax"
            f" {syntax.name} ({syntax}) of {bits} bits."
        )


def _check_plain(dataset: Dataset, instance: Instance) -> None:
    if instance.frames != 1 and instance.sop_class_uid not in header.ENHANCED:
        raise UnreadablePixels(
            f"{_name(instance)} has {instance.frames} frames, expected 1: it is not enhanced CT."
        )
    samples = header.integer(dataset, "SamplesPerPixel") or 1
    if samples != 1:
        raise UnreadablePixels(
            f"{_name(instance)} has {samples} samples a pixel, expected 1: it is in colour."
        )


def _check_side(instance: Instance) -> None:
    if max(instance.rows, instance.columns) > MAX_SIDE_PX:
        raise UnreadablePixels(
            f"{_name(instance)} has {instance.rows} x {instance.columns} px, expected at most"
            f" {MAX_SIDE_PX} a side."
        )


def _rescale(stored: NDArray[Any], dataset: Dataset, instance: Instance) -> NDArray[np.int16]:
    rescale = header.rescale(dataset, instance.frame)
    if rescale is None:
        raise MissingRescale(
            f"{_name(instance)} has no usable rescale slope and intercept, expected both."
        )
    slope, intercept = rescale
    if slope == 1.0 and intercept.is_integer():
        # Whole numbers need no floating point, which is most of what scanners send.
        hu = stored.astype(np.int32) + int(intercept)
    else:
        hu = np.rint(stored * np.float32(slope) + np.float32(intercept))
    hu[_is_padding(stored, dataset)] = LOWEST_HU
    return np.clip(hu, LOWEST_HU, HIGHEST_HU).astype(np.int16)


def _is_padding(stored: NDArray[Any], dataset: Dataset) -> NDArray[np.bool_]:
    """Tell which pixels were never measured (PS3.3 C.7.5.1.1.2)."""
    padding = header.integer(dataset, "PixelPaddingValue")
    if padding is None:
        return np.zeros(stored.shape, np.bool_)
    limit = header.integer(dataset, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, stored) for end in (padding, padding if limit is None else limit)]
    return (stored >= min(ends)) & (stored <= max(ends))


def _as_stored(number: int, stored: NDArray[Any]) -> int:
    # Some headers write -2000 as 63536: the same bits, read with the other sign.
    return int(np.array(number % 2**32, np.int64).astype(stored.dtype))


def _name(instance: Instance) -> str:
    number, uid = instance.instance_number, instance.sop_instance_uid
    named = f"Instance {uid}" if number is None else f"Instance {number} ({uid})"
    return named if instance.frames == 1 else f"Frame {instance.frame + 1} of {named}"
