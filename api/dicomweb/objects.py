# SPDX-License-Identifier: Apache-2.0
"""Objects by their UIDs: found in the database, and their files for as long as they are read."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from flask import url_for
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy.orm import Session

from api.auth import tenant_id
from api.dicomweb.accept import ANY
from api.dicomweb.multipart import Part
from api.parts import Parts, parts
from db.dicomweb import FoundInstance, find_instances, is_known
from hilum.dicom import header
from hilum.dicom.attributes import AVAILABLE_SYNTAX
from hilum.dicom.frames import open_header
from hilum.dicom.transcode import to_explicit
from hilum.errors import (
    UnknownObject,
    UnknownStudy,
    UnreadableObject,
    UnreadablePixels,
    UnsupportedTransferSyntax,
)
from hilum.storage import CHUNK

DICOM: Final = "application/dicom"

EXPLICIT: Final = str(ExplicitVRLittleEndian)
"""The transfer syntax that everybody reads, and that is meant where none is named."""

UNDECODABLE: Final = (UnreadableObject, UnreadablePixels, UnsupportedTransferSyntax)
"""Why an object cannot be sent but as it is kept."""

MARK: Final = slice(128, 132)
"""Where a file of PS3.10 says that it is one."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A kept file; it outlives the request that asks for it, since its answer is streamed.

    Attributes:
        found: what the database knows of it.
        parts: where it is.
    """

    found: FoundInstance
    parts: Parts

    @property
    def url(self) -> str:
        """Its address, for who asks now."""
        return url_for(
            "dicomweb.instance",
            study_uid=self.found.study.study_uid,
            series_uid=self.found.series.series_uid,
            sop_uid=self.found.instance.sop_instance_uid,
            _external=True,
        )

    @property
    def syntax(self) -> str:
        """The transfer syntax it is kept in; what was kept before it was noted is looked at."""
        noted = (self.found.instance.attributes or {}).get(AVAILABLE_SYNTAX)
        if noted:
            return str(noted["Value"][0])
        with self.file() as path:
            return header.transfer_syntax(open_header(path))

    @contextmanager
    def file(self) -> Iterator[Path]:
        """Yield its path on this machine."""
        with self.parts.spool.folder() as scratch:
            [path] = self.parts.store.local_files([self.found.instance.key], scratch)
            yield path

    def part(self, syntax: str) -> Part:
        """Return it in a transfer syntax: `*`, the one it is kept in, or Explicit VR Little Endian.

        Raises:
            UnreadableObject, UnreadablePixels, UnsupportedTransferSyntax: it cannot be decoded.
        """
        if syntax == ANY or (syntax == self.syntax and self._is_file()):
            return self.as_stored()
        with self.file() as path:
            return Part(DICOM, EXPLICIT, [to_explicit(path)])

    def as_stored(self) -> Part:
        """Return it byte for byte.

        Raises:
            UnreadableObject: its file is gone.
        """
        chunks = self._read()
        try:
            # What cannot be opened is said before an answer begins.
            first = next(chunks, b"")
        except OSError as error:
            raise UnreadableObject(
                f"The file of instance {self.found.instance.sop_instance_uid} cannot be opened."
            ) from error
        return Part(DICOM, self.syntax, chain([first], chunks))

    def _read(self) -> Iterator[bytes]:
        with self.parts.store.open_file(self.found.instance.key) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk

    def _is_file(self) -> bool:
        with (
            suppress(OSError),
            self.parts.store.open_file(self.found.instance.key) as stream,
        ):
            return stream.read(MARK.stop)[MARK] == b"DICM"
        return False


def check_known(session: Session, study_uid: str, series_uid: str | None = None) -> None:
    """Make sure that the caller has a study, or a series of it.

    Raises:
        UnknownStudy, UnknownObject: there is none, or it is another tenant's.
    """
    if not _is_uid(study_uid) or not is_known(session, tenant_id(), study_uid):
        raise UnknownStudy(f"There is no study {study_uid[:64]!r}.")
    if series_uid is None:
        return
    if not _is_uid(series_uid) or not is_known(session, tenant_id(), study_uid, series_uid):
        raise UnknownObject(f"Study {study_uid} has no series {series_uid[:64]!r}.")


def objects_of(study_uid: str, series_uid: str | None = None) -> list[StoredObject]:
    """Return every object of a study, or of a series.

    Raises:
        UnknownStudy, UnknownObject: there is none, or it is another tenant's.
    """
    with parts().sessions.begin() as session:
        check_known(session, study_uid, series_uid)
        found = find_instances(session, tenant_id(), study_uid, series_uid)
    return [StoredObject(one, parts()) for one in found]


def object_of(study_uid: str, series_uid: str, sop_uid: str) -> StoredObject:
    """Return one object.

    Raises:
        UnknownStudy, UnknownObject: there is none, or it is another tenant's.
    """
    with parts().sessions.begin() as session:
        check_known(session, study_uid, series_uid)
        found = []
        if _is_uid(sop_uid):
            found = find_instances(session, tenant_id(), study_uid, series_uid, sop_uid)
    if not found:
        raise UnknownObject(f"Series {series_uid} has no instance {sop_uid[:64]!r}.")
    return StoredObject(found[0], parts())


def _is_uid(text: str) -> bool:
    # A path may hold anything, and PostgreSQL takes no NUL.
    return header.UID_PATTERN.fullmatch(text) is not None
