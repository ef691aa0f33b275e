# SPDX-License-Identifier: Apache-2.0
"""A DICOM file on its way out, in an encoding that whoever gets it can read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from hilum.dicom.header import BROKEN, read_header
from hilum.dicom.transcode import to_explicit
from hilum.errors import UnreadableObject


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One object.

    Attributes:
        path: its file; it is not changed.
        sop_class_uid, sop_instance_uid: what it is.
        syntax: its transfer syntax.
        is_proper: whether it is a file of PS3.10 that says of itself what its data set says.
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    syntax: str
    is_proper: bool

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
        if not one.sop_class_uid:
            raise UnreadableObject("An object that was kept has no SOP class, and cannot be sent.")
        uids = (one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax_uid)
        return cls(path, *uids, is_proper=_meta(path) == uids)

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
        uids = (self.sop_class_uid, self.sop_instance_uid, str(ExplicitVRLittleEndian))
        return type(self)(path, *uids, is_proper=True)


def _meta(path: Path) -> tuple[str, str, str] | None:
    """Return class, instance and transfer syntax that a file begins with; None without them."""
    try:
        meta = read_file_meta_info(path)
        named = (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID)
        return str(named[0]), str(named[1]), str(meta.TransferSyntaxUID)
    except BROKEN:
        return None
