# SPDX-License-Identifier: Apache-2.0
"""The size that a compressed frame claims for itself.

Decoders believe the codestream over the DICOM header: a few damaged bytes make one allocate
gigabytes, so the claim is read before the frame is decoded.
"""

import struct
from typing import Final

JPEG_2000: Final = b"\xff\x4f\xff\x51"
"""Start of codestream, then the size marker, which must follow (ISO/IEC 15444-1 A.5.1)."""

JPEG: Final = b"\xff\xd8"
"""Start of image (ISO/IEC 10918-1 B.1.1.3); JPEG-LS shares it."""

FRAME_MARKERS: Final = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
"""Markers that carry rows and columns: SOF0 to SOF15, and SOF55 of JPEG-LS."""


def claimed_size(frame: bytes) -> tuple[int, int] | None:
    """Return the rows and columns of a JPEG, JPEG-LS or JPEG 2000 frame; None where it has none."""
    if frame.startswith(JPEG_2000):
        return _jpeg_2000_size(frame)
    if frame.startswith(JPEG):
        return _jpeg_size(frame)
    return None


def _jpeg_2000_size(frame: bytes) -> tuple[int, int] | None:
    # After the marker: length, capabilities, then width, height and their offsets.
    if len(frame) < 24:  # noqa: PLR2004 - where the last of them ends
        return None
    width, height, left, top = struct.unpack_from(">4I", frame, 8)
    return height - top, width - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    place = len(JPEG)
    while place + 9 <= len(frame) and frame[place] == 0xFF:  # noqa: PLR2004 - begins each marker
        length, _, rows, columns = struct.unpack_from(">HBHH", frame, place + 2)
        if frame[place + 1] in FRAME_MARKERS:
            return rows, columns
        place += 2 + length
    return None
