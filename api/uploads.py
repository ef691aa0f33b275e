# SPDX-License-Identifier: Apache-2.0
"""From the body of a request to files on disk: a zip, one DICOM file, or a form of either."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final, cast

from flask import request
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.formparser import MultiPartParser

from api.body import CHUNK, Body
from api.spool import SpooledFile, SpoolFile, spooled
from hilum.archive import Limits, unpack
from hilum.errors import EmptyUpload, InvalidRequest, TooManyFiles
from hilum.settings import MIB, Settings

ZIP_TYPES: Final = frozenset({"application/zip", "application/x-zip-compressed"})
"""Media types of an archive; browsers on Windows send the second."""

DICOM_TYPE: Final = "application/dicom"
RAW_TYPES: Final = ZIP_TYPES | {"application/octet-stream", DICOM_TYPE}
FORM_TYPE: Final = "multipart/form-data"

MAX_FIELDS: Final = 16
"""Parts of a form that are no files."""

ZIP_MAGIC: Final = b"PK"


@dataclass(frozen=True, slots=True)
class Upload:
    """What a request carried.

    Attributes:
        files: DICOM files, or what claims to be one.
        fields: of the form; empty where the body was the file.
    """

    files: tuple[SpooledFile, ...]
    fields: Mapping[str, str]


@dataclass(slots=True)
class Receiver:
    """Takes the files of a form one by one.

    Attributes:
        folder: where they go; None drops them.
        max_files: how many are taken.
        archives, loose: what came.
    """

    folder: Path | None
    max_files: int
    count: int = 0
    archives: list[SpoolFile] = field(default_factory=list)
    loose: list[SpoolFile] = field(default_factory=list)

    def open_part(
        self, *, filename: str | None, content_type: str | None, **_lengths: Any
    ) -> IO[bytes]:
        """Return what the parser writes the next file to; it calls this by keyword."""
        self.count += 1
        if self.count > self.max_files:
            raise TooManyFiles(
                f"The upload holds more than {self.max_files} files, expected at most that."
            )
        if self.folder is None:
            return cast("IO[bytes]", Nowhere())
        part = SpoolFile(self.folder / f"part-{self.count}")
        claims_zip = content_type in ZIP_TYPES or (filename or "").lower().endswith(".zip")
        (self.archives if claims_zip else self.loose).append(part)
        return cast("IO[bytes]", part)

    def close(self) -> None:
        """Close what was being written when the form broke off."""
        for part in (*self.archives, *self.loose):
            part.close()


class Nowhere:
    """What a part is written to that nobody will read."""

    def write(self, data: bytes) -> int:
        """Forget the bytes."""
        return len(data)

    def seek(self, _offset: int) -> int:
        """Stay where it is."""
        return 0

    def close(self) -> None:
        """Stay as it is."""


def check_media_type() -> None:
    """Make sure that the body is of a kind that is read.

    Raises:
        UnsupportedMediaType: it is not.
    """
    if request.mimetype not in RAW_TYPES | {FORM_TYPE}:
        raise UnsupportedMediaType(
            f"The upload is {request.mimetype or 'of no media type'}, expected"
            f" {', '.join(sorted(RAW_TYPES))} or {FORM_TYPE}."
        )


def receive(folder: Path, settings: Settings) -> Upload:
    """Write the body of the request to a folder, unpack it, and return its files.

    Raises:
        UploadError: the bytes cannot be taken.
        InvalidRequest: the form is malformed.
        StorageFull: the disk is nearly full.
    """
    body = Body(settings, folder)
    if request.mimetype == FORM_TYPE:
        return _receive_form(body, folder, settings)
    file = _receive_raw(body, folder / "body")
    if request.mimetype == DICOM_TYPE:
        return Upload((file,), {})
    return Upload(unpacked(file.path, folder, settings), {})


def read_past(folder: Path, settings: Settings) -> Mapping[str, str]:
    """Read the body of the request, keep none of its files, and return the fields of its form.

    Raises:
        UploadTooLarge: there is more than the limit.
        InvalidRequest: the form is malformed.
    """
    body = Body(settings, folder)
    if request.mimetype == FORM_TYPE:
        return _parse_form(body, Receiver(None, settings.max_files))
    body.check_whole()
    return {}


def _receive_raw(body: Body, path: Path) -> SpooledFile:
    with SpoolFile(path) as file:
        while data := body.read():
            file.write(data)
        body.check_whole()
        if not file.size:
            raise EmptyUpload("The upload has 0 bytes, expected a zip archive or DICOM files.")
        return file.done()


def _receive_form(body: Body, folder: Path, settings: Settings) -> Upload:
    with closing(Receiver(folder, settings.max_files)) as receiver:
        fields = _parse_form(body, receiver)
        archives, loose = _sort_out(receiver)
    if not archives and not loose:
        raise EmptyUpload("The form holds no file, expected a zip archive or DICOM files.")
    if archives and (loose or len(archives) > 1):
        raise InvalidRequest(
            f"The form holds {len(archives)} zip archives and {len(loose)} other files, expected"
            " one archive or DICOM files alone."
        )
    if archives:
        return Upload(unpacked(archives[0].path, folder, settings), fields)
    return Upload(tuple(loose), fields)


def _parse_form(body: Body, receiver: Receiver) -> Mapping[str, str]:
    parser = MultiPartParser(
        stream_factory=cast("Callable[..., IO[bytes]]", receiver.open_part),
        # The parser holds one chunk and what was left of the one before.
        max_form_memory_size=4 * CHUNK,
        buffer_size=CHUNK,
        max_form_parts=receiver.max_files + MAX_FIELDS,
    )
    boundary = request.mimetype_params.get("boundary", "")
    try:
        fields, _ = parser.parse(
            cast("IO[bytes]", body), _boundary_bytes(boundary), request.content_length
        )
    except ValueError as error:
        body.check_whole()
        raise InvalidRequest(f"The multipart body is malformed: {error}.") from error
    body.check_whole()
    return {name: value for name, value in fields.items() if name}


def _boundary_bytes(boundary: str) -> bytes:
    if not boundary or not boundary.isascii():
        raise ValueError("its Content-Type names no boundary")
    return boundary.encode()


def _sort_out(receiver: Receiver) -> tuple[list[SpooledFile], list[SpooledFile]]:
    """Return archives and other files, by what they claim and by how they begin."""
    archives = [part.done() for part in receiver.archives]
    loose: list[SpooledFile] = []
    for part in receiver.loose:
        file = part.done()
        (archives if _begins_as_zip(file.path) else loose).append(file)
    return archives, loose


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC


def unpacked(archive: Path, folder: Path, settings: Settings) -> tuple[SpooledFile, ...]:
    """Return the files of an archive, which is removed.

    Raises:
        UploadError: its subclass names what is wrong with the archive.
        StorageFull: the disk does not take them.
    """
    target = folder / "unpacked"
    target.mkdir()
    limits = Limits(
        max_unpacked_bytes=settings.max_unpacked_mb * MIB,
        max_ratio=settings.max_zip_ratio,
        max_files=settings.max_files,
        min_free_mb=settings.min_free_mb,
    )
    paths = unpack(archive, target, limits)
    # Its room is needed for what comes next.
    archive.unlink()
    return tuple(spooled(path) for path in paths)
