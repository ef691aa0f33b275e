# SPDX-License-Identifier: Apache-2.0
"""The pixel data of a stored object, frame by frame, decoded or as it is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pack_bits, pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from hilum.dicom import header
from hilum.dicom.codestream import claimed_size
from hilum.dicom.deflated import is_deflated
from hilum.dicom.pixels import PLUGINS
from hilum.dicom.quiet import quiet
from hilum.dicom.syntaxes import BYTE, is_readable
from hilum.errors import (
    UnknownObject,
    UnreadableObject,
    UnreadablePixels,
    UnsupportedTransferSyntax,
)

LARGEST_FRAME_PX: Final = 2**26
"""Pixels of a frame that are decoded: eight times what a mammogram has."""

LONGEST_READ: Final = 1024
"""Bytes of a value that is read with the header; longer ones stay in the file until they are asked for."""

PIXELS: Final = (0x7FE00010, 0x7FE00008, 0x7FE00009)
"""Tags of PixelData, and of its kin of floating-point numbers."""


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one object, which count from 1.

    Attributes:
        path: its file.
        dataset: its header; of a deflated file, everything.
        syntax: how its pixels are kept.
        count: how many there are.
    """

    path: Path
    dataset: Dataset
    syntax: UID
    count: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the header of a stored object.

        Raises:
            UnreadableObject: the file is no DICOM.
            UnknownObject: the object has no pixels.
        """
        dataset = open_header(path)
        if not any(tag in dataset for tag in PIXELS):
            raise UnknownObject(f"Instance {header.uid(dataset, 'SOPInstanceUID')} has no frames.")
        count = max(header.integer(dataset, "NumberOfFrames") or 1, 1)
        return cls(path, dataset, UID(header.transfer_syntax(dataset)), count)

    @property
    def is_encapsulated(self) -> bool:
        """Whether each frame is compressed."""
        return is_compressed(self.syntax)

    @property
    def _is_deflated(self) -> bool:
        return self.syntax == DeflatedExplicitVRLittleEndian

    def check(self, number: int) -> None:
        """Make sure that there is a frame of this number.

        Raises:
            UnknownObject: there is none.
        """
        if not 1 <= number <= self.count:
            uid = header.uid(self.dataset, "SOPInstanceUID")
            raise UnknownObject(f"Instance {uid} has frames 1 to {self.count}, not {number}.")

    def stored(self, number: int) -> bytes:
        """Return a compressed frame as it is kept.

        Raises:
            UnknownObject: there is no such frame.
            UnreadablePixels: it is absent or cut short.
        """
        self.check(number)
        with self._refusing(number), self.path.open("rb") as stream:
            stream.seek(self._start())
            return get_frame(
                stream,
                number - 1,
                extended_offsets=self._extended_offsets(),
                number_of_frames=self.count,
            )

    def array(self, number: int, *, raw: bool = False) -> NDArray[Any]:
        """Return the stored values of a frame, [y, x] or [y, x, sample].

        Args:
            number: of the frame, from 1.
            raw: leave YBR colours as they are.

        Raises:
            UnknownObject: there is no such frame.
            UnreadablePixels: it cannot be decoded.
            UnsupportedTransferSyntax: no decoder is installed.
        """
        self.check(number)
        self._check_size(number)
        self._check_decoder()
        source = self.dataset if self._is_deflated else self.path
        more: dict[str, Any] = {} if self._is_deflated else {"transfer_syntax_uid": self.syntax}
        plugin = PLUGINS.get(str(self.syntax), "")
        with self._refusing(number):
            return pixel_array(source, index=number - 1, raw=raw, decoding_plugin=plugin, **more)

    def decoded(self, number: int) -> bytes:
        """Return a frame as Explicit VR Little Endian has it, single bits packed.

        Raises:
            UnknownObject, UnreadablePixels, UnsupportedTransferSyntax: as for `array`.
        """
        pixels = self.array(number, raw=not self.is_encapsulated)
        if header.integer(self.dataset, "BitsAllocated") == 1:
            return pack_bits(pixels, pad=False)
        # What is not compressed keeps its colours in planes, as its header says.
        planes = header.integer(self.dataset, "PlanarConfiguration") == 1
        if planes and not self.is_encapsulated and pixels.ndim == 3:  # noqa: PLR2004 - y, x, sample
            pixels = np.moveaxis(pixels, -1, 0)
        return pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()

    def _start(self) -> int:
        element: Any = self.dataset.get_item(PIXELS[0], keep_deferred=True)
        if not isinstance(element, RawDataElement):
            raise TypeError("The pixel data was touched before.")
        return int(element.value_tell)

    def _extended_offsets(self) -> tuple[bytes, bytes] | None:
        if "ExtendedOffsetTable" not in self.dataset:
            return None
        return self.dataset.ExtendedOffsetTable, self.dataset.ExtendedOffsetTableLengths

    def _check_size(self, number: int) -> None:
        rows, columns = (header.integer(self.dataset, name) or 0 for name in ("Rows", "Columns"))
        if not 0 < rows * columns <= LARGEST_FRAME_PX:
            raise UnreadablePixels(
                f"{self._name(number)} has {rows} rows of {columns} pixels,"
                f" expected 1 to {LARGEST_FRAME_PX} pixels."
            )
        # Decoders believe the codestream, which may claim gigabytes.
        found = claimed_size(self.stored(number)) if self.is_encapsulated else None
        if found is not None and found != (rows, columns):
            raise UnreadablePixels(
                f"{self._name(number)} decodes to {found}, expected {(rows, columns)}."
            )

    def _check_decoder(self) -> None:
        bits = header.integer(self.dataset, "BitsStored") or BYTE
        if not is_readable(self.syntax, bits=bits):
            raise UnsupportedTransferSyntax(
                f"Instance {header.uid(self.dataset, 'SOPInstanceUID')}: no decoder is installed"
                f" for transfer syntax {self.syntax.name} ({self.syntax}) of {bits} bits."
            )

    @contextmanager
    def _refusing(self, number: int) -> Iterator[None]:
        try:
            with quiet():
                yield
        except (*header.BROKEN, RuntimeError) as error:
            # The decoder's own words may quote the header; its class says enough.
            raise UnreadablePixels(
                f"{self._name(number)} cannot be decoded ({type(error).__name__})."
            ) from error

    def _name(self, number: int) -> str:
        return f"Frame {number} of instance {header.uid(self.dataset, 'SOPInstanceUID')}"


def is_compressed(syntax: str) -> bool:
    """Return whether a transfer syntax compresses each frame; one that nobody knows does not."""
    uid = UID(syntax)
    return uid.is_transfer_syntax and uid.is_compressed


def open_header(path: Path) -> Dataset:
    """Parse a stored object and leave long values in its file, if the file is not deflated.

    Raises:
        UnreadableObject: the file is no DICOM.
    """
    try:
        with quiet():
            # A deflated file has no place to come back to.
            longest = None if is_deflated(path) else LONGEST_READ
            dataset = dcmread(path, force=True, defer_size=longest)
    except header.BROKEN as error:
        raise UnreadableObject(
            f"{path.name} cannot be read as DICOM ({type(error).__name__})."
        ) from error
    if not dataset:
        raise UnreadableObject(
            f"{path.name} cannot be read as DICOM: it holds no values, or ends early."
        )
    return dataset
