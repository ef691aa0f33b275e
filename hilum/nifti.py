# SPDX-License-Identifier: Apache-2.0
"""Masks and volumes as NIfTI, the format of researchers and of viewers in a browser."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final

import nibabel
import numpy as np
from numpy.typing import NDArray

STRATEGY: Final = zlib.Z_HUFFMAN_ONLY
"""How a volume is deflated: noise never repeats, so looking for repeats takes time and saves little."""

GZIP: Final = 16 + zlib.MAX_WBITS
"""Has zlib write gzip's header, without a time (zlib.h, deflateInit2)."""


def write_nifti(mask: NDArray[np.uint8], affine: NDArray[np.float64]) -> bytes:
    """Return a mask as gzipped NIfTI-1.

    Args:
        mask: [z, y, x].
        affine: maps (z, y, x, 1) to LPS millimetres, as in `Volume`.

    Source:
        NIfTI-1 wants [x, y, z] and RAS+; LPS to RAS turns the first two axes round.
    """
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(mask.transpose(2, 1, 0), ras)
    image.header.set_xyzt_units("mm")
    # No time stamp: the same mask is the same file, whatever the clock says.
    return gzip.compress(image.to_bytes(), compresslevel=3, mtime=0)


def stream_volume(mask: BinaryIO, slices: Iterable[NDArray[np.int16]]) -> Iterator[bytes]:
    """Yield a volume as gzipped NIfTI-1, piece by piece, on the very grid of one of its masks.

    Args:
        mask: what `write_nifti` made of a mask of the volume.
        slices: Hounsfield units, [y, x], from z = 0 on.
    """
    deflate = zlib.compressobj(1, wbits=GZIP, strategy=STRATEGY)
    yield deflate.compress(_volume_header(mask))
    for one in slices:
        # NIfTI has x fastest, as rows of an image in memory.
        yield deflate.compress(np.ascontiguousarray(one, "<i2").data)
    yield deflate.flush()


def _volume_header(mask: BinaryIO) -> bytes:
    with gzip.open(mask) as stream:
        header = nibabel.Nifti1Header.from_fileobj(stream)
    header.set_data_dtype(np.dtype("<i2"))
    # Four zeros after it say that nothing else comes before the voxels.
    return bytes(header.binaryblock) + bytes(4)
