# SPDX-License-Identifier: Apache-2.0
"""Deflated files (PS3.5 A.5): how large they become is looked at before they do."""

import zlib
from pathlib import Path
from typing import BinaryIO, Final

from pydicom.filereader import (
    _read_file_meta_info,  # leaves the stream where the data set begins, as no public name does
    read_preamble,
)
from pydicom.uid import DeflatedExplicitVRLittleEndian

MIB: Final = 1024 * 1024
CHUNK: Final = MIB
"""Bytes read at a time, and bytes that they become at a time."""

MOST_RATIO: Final = 200
"""Times its size that a file may become: pixels of a scanner reach two or three."""

ALWAYS_ALLOWED: Final = 64 * MIB
"""A mask is nearly empty, and packs far better; so many bytes it may have all the same."""


def is_deflated(path: Path) -> bool:
    """Tell whether the data set of a file is one compressed stream."""
    with path.open("rb") as stream:
        return _begins_deflated(stream)


def inflates_too_far(path: Path) -> bool:
    """Tell whether a file is deflated and would fill the memory of whoever opens it.

    Raises:
        zlib.error: it is deflated, and broken.
    """
    with path.open("rb") as stream:
        if not _begins_deflated(stream):
            return False
        limit = max(ALWAYS_ALLOWED, MOST_RATIO * path.stat().st_size)
        return _inflated(stream, limit) > limit


def _begins_deflated(stream: BinaryIO) -> bool:
    """Read up to the data set."""
    read_preamble(stream, force=True)
    meta = _read_file_meta_info(stream)
    return bool(meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian)


def _inflated(stream: BinaryIO, limit: int) -> int:
    """Count the bytes that a stream becomes, up to a limit; none of them is kept."""
    inflater, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while count <= limit and not inflater.eof:
        # What was not looked at for want of room comes first.
        data = inflater.unconsumed_tail or stream.read(CHUNK)
        if not data:
            break
        count += len(inflater.decompress(data, CHUNK))
    return count
