# SPDX-License-Identifier: Apache-2.0
"""Masks as a file that gives any slice without the others."""

import io
import zipfile
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.errors import UnknownSlice

LESION_FACTOR = 4
"""A packed pixel is lung + 4 x lesion: lung takes 0, 1, 2."""


def pack_masks(lungs: NDArray[np.uint8], lesions: NDArray[np.uint8]) -> bytes:
    """Return a zip of one PNG a slice, so that any slice is read without the others.

    Args:
        lungs: [z, y, x], values 0 to 2.
        lesions: [z, y, x], values 0 to 63.
    """
    packed = lungs + lesions * np.uint8(LESION_FACTOR)
    buffer = io.BytesIO()
    # PNG is already deflated; the zip only keeps the slices together.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for index, pixels in enumerate(packed):
            archive.writestr(_name(index), _png(pixels))
    return buffer.getvalue()


def read_mask(stream: BinaryIO, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the lung and lesion mask [y, x] of one slice of a packed file.

    Raises:
        UnknownSlice: the file has no such slice.
    """
    with zipfile.ZipFile(stream) as archive:
        try:
            data = archive.read(_name(index))
        except KeyError as error:
            count = len(archive.namelist())
            raise UnknownSlice(f"There is no slice {index}; there are 0 to {count - 1}.") from error
    packed = np.asarray(Image.open(io.BytesIO(data)))
    return packed % LESION_FACTOR, packed // LESION_FACTOR


def _name(index: int) -> str:
    return f"{index:05}.png"


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
