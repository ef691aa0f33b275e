# SPDX-License-Identifier: Apache-2.0
"""The pixels of one instance as Hounsfield units."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, RLELossless

from hilum.dicom import header
from hilum.dicom.codestream import claimed_size
from hilum.dicom.quiet import quiet
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
    "PixelData",
]

PLUGINS: Final = {str(RLELossless): "pydicom"}
"""Decoders to insist on: the Rust one for RLE panics on damaged data, past every `except`."""


def read_hu(instance: Instance) -> NDArray[np.int16]:
    """Return the image of one instance in Hounsfield units, [y, x], -1024..3071.

    MONOCHROME1 tells a screen to show low values bright; the values themselves are the same
    (PS3.3 C.7.6.3.1.2), so it changes nothing here.

    Raises:
        UnsupportedTransferSyntax: no decoder is installed.
        UnreadablePixels: the pixel data is absent, cut short, damaged, in colour or multi-frame.
        MissingRescale: slope or intercept is absent or not a number.
    """
    with quiet():
        dataset = header.open_dataset(instance.path, keywords=KEYWORDS)
        if dataset is None:
            raise UnreadablePixels(f"{_name(instance)} is not a readable DICOM file.")
        stored = _decode(dataset, instance)
        return _rescale(stored, dataset, instance)


def _decode(dataset: Dataset, instance: Instance) -> NDArray[Any]:
    _check_decoder(instance)
    _check_plain(dataset, instance)
    if not hasattr(dataset.file_meta, "TransferSyntaxUID"):
        dataset.file_meta.TransferSyntaxUID = UID(instance.transfer_syntax_uid)
    try:
        _check_size(_claimed_size(dataset), instance)
        plugin = PLUGINS.get(instance.transfer_syntax_uid, "")
        stored: NDArray[Any] = pixel_array(dataset, raw=True, decoding_plugin=plugin)
    except (*header.BROKEN, RuntimeError) as error:
        # The decoder's own words may quote the header; its class says enough.
        raise UnreadablePixels(
            f"{_name(instance)}: the pixel data cannot be decoded ({type(error).__name__})."
        ) from error
    _check_size(stored.shape, instance)
    return stored


def _claimed_size(dataset: Dataset) -> tuple[int, ...] | None:
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return None
    return claimed_size(get_frame(dataset.PixelData, 0, number_of_frames=1))


def _check_size(found: tuple[int, ...] | None, instance: Instance) -> None:
    expected = (instance.rows, instance.columns)
    if found is not None and found != expected:
        raise UnreadablePixels(
            f"{_name(instance)}: the pixel data decodes to {found}, expected {expected}."
        )


def _check_decoder(instance: Instance) -> None:
    syntax = UID(instance.transfer_syntax_uid)
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise UnsupportedTransferSyntax(
            f"{_name(instance)}: no decoder is installed for transfer syntax"
            f" {syntax.name} ({syntax})."
        )


def _check_plain(dataset: Dataset, instance: Instance) -> None:
    if instance.frames != 1:
        raise UnreadablePixels(
            f"{_name(instance)} has {instance.frames} frames, expected 1;"
            " enhanced multi-frame CT is not read."
        )
    samples = header.integer(dataset, "SamplesPerPixel") or 1
    if samples != 1:
        raise UnreadablePixels(
            f"{_name(instance)} has {samples} samples a pixel, expected 1: it is in colour."
        )


def _rescale(stored: NDArray[Any], dataset: Dataset, instance: Instance) -> NDArray[np.int16]:
    slope = header.number(dataset, "RescaleSlope")
    intercept = header.number(dataset, "RescaleIntercept")
    if not slope or intercept is None:
        raise MissingRescale(
            f"{_name(instance)} has no usable rescale slope and intercept, expected both."
        )
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
    if instance.instance_number is None:
        return f"Instance {instance.sop_instance_uid}"
    return f"Instance {instance.instance_number} ({instance.sop_instance_uid})"
