# SPDX-License-Identifier: Apache-2.0
"""A DICOM file on its way out, in an encoding that whoever gets it can read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from hilum.dicom.header import read_header
from hilum.dicom.transcode import to_explicit
from hilum.errors import UnreadableObject


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One object.

    Attributes:
        path: its file; it is not changed.
        sop_class_uid, sop_instance_uid: what it is.
        syntax: its transfer syntax.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    syntax: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a file.

        Raises:
            UnreadableObject: it is no DICOM any more.
        """
        header = read_header(path)
        if header is None:
            raise UnreadableObject("A file that was kept cannot be read any more.")
        one = header.instance
        return cls(path, one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid)

    @property
    def is_deflated(self) -> bool:
        """Whether it is in the syntax that few archives read."""
        return self.syntax == DeflatedExplicitVRLittleEndian

    def inflated(self, scratch: Path) -> Self:
        """Return it in Explicit VR Little Endian, which everybody reads.

        Args:
            scratch: folder for the file; another call may find it there.

        Raises:
            UnreadableObject, UnreadablePixels: it cannot be decoded.
        """
        path = scratch / f"{self.sop_instance_uid}.explicit"
        if not path.exists():
            path.write_bytes(to_explicit(self.path))
        return type(self)(path, self.sop_class_uid, self.sop_instance_uid, ExplicitVRLittleEndian)
