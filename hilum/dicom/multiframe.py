# SPDX-License-Identifier: Apache-2.0
"""A file of many frames, held open: its header is parsed once, and its pixels are never all read."""

import struct
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, Self

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments
from pydicom.pixels.utils import get_expected_length, get_nr_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian

from hilum.dicom import header

PIXEL_DATA: Final = (0x7FE0, 0x0010)

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
"""Of compressed pixel data, which is a list of fragments (PS3.5 A.4)."""


@dataclass(frozen=True, slots=True)
class MultiFrame:
    """One open file.

    Attributes:
        dataset: its header; PixelData is the stream, from which single frames are decoded.
        stream: the file; None where the dataset holds the pixels themselves.
        start: where in the stream the pixels begin.
    """

    dataset: Dataset
    stream: BinaryIO | None = None
    start: int = 0

    @classmethod
    def open(cls, path: Path, keywords: list[str]) -> Self | None:
        """Open a file for its frames; None where it is no DICOM file."""
        with ExitStack() as opened:
            try:
                stream = opened.enter_context(path.open("rb"))
                dataset = dcmread(
                    stream, force=True, specific_tags=keywords, stop_before_pixels=True
                )
                if header.transfer_syntax(dataset) == DeflatedExplicitVRLittleEndian:
                    # A file that is one compressed stream has no places to go to.
                    whole = header.open_dataset(path, keywords=keywords)
                    return None if whole is None else cls(whole)
                _attach_pixels(dataset, stream)
            except header.BROKEN:
                return None
            opened.pop_all()
            return cls(dataset, stream, stream.tell())

    def rewound(self) -> Dataset:
        """Return the dataset to decode from: whoever broke off left its stream where that was."""
        if self.stream is not None:
            self.stream.seek(self.start)
        return self.dataset

    def close(self) -> None:
        """Let go of the file."""
        if self.stream is not None:
            self.stream.close()


def _attach_pixels(dataset: Dataset, stream: BinaryIO) -> None:
    """Make a stream that stands before the pixels their value, and leave it at their first byte.

    Without any, the dataset has none either, and cannot be decoded.
    """
    implicit, little = dataset.original_encoding
    layout = ("<" if little else ">") + ("HHL" if implicit else "HH2sxxL")
    head = stream.read(struct.calcsize(layout))
    group, element, *representation, length = struct.unpack(layout, head)
    if (group, element) != PIXEL_DATA:
        return
    if length != UNDEFINED_LENGTH and length < get_expected_length(dataset):
        # Whatever follows pixels that were cut short would be read in their place.
        return
    kind = representation[0].decode() if representation else "OW"
    dataset.add_new(PIXEL_DATA, kind, stream)
    if length == UNDEFINED_LENGTH:
        start = stream.tell()
        _number_fragments(dataset, stream)
        stream.seek(start)


def _number_fragments(dataset: Dataset, stream: BinaryIO) -> None:
    """Give pixels without a table of where frames begin one (PS3.3 C.7.6.3.1.8).

    Without it, every frame would be sought from the first on.
    """
    if parse_basic_offsets(stream) or "ExtendedOffsetTable" in dataset:
        return
    count, places = parse_fragments(stream)
    if count != get_nr_frames(dataset):
        # What belongs to which frame is then for the decoder to find out.
        return
    stream.seek(places[-1] + 4)
    (last,) = struct.unpack("<L", stream.read(4))
    lengths = [after - before - 8 for before, after in pairwise(places)] + [last]
    dataset.ExtendedOffsetTable = struct.pack(f"<{count}Q", *(one - places[0] for one in places))
    dataset.ExtendedOffsetTableLengths = struct.pack(f"<{count}Q", *lengths)
