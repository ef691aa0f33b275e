# SPDX-License-Identifier: Apache-2.0
"""From a body of multipart/related (RFC 2387) to files on disk, one a part."""

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flask import request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from werkzeug.exceptions import UnsupportedMediaType
from werkzeug.http import parse_options_header

from api.behind import Behind
from api.body import Body
from api.spool import SpooledFile, SpoolFile
from hilum.errors import EmptyUpload, IncompleteUpload, InvalidRequest, TooManyFiles
from hilum.settings import Settings

RELATED: Final = "multipart/related"
DICOM: Final = "application/dicom"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a body.

    Attributes:
        media_type: as it says; the body's root type where it does not.
        file: its bytes.
    """

    media_type: str
    file: SpooledFile


@dataclass(slots=True)
class Receiver:
    """Hears the parser and writes each part to a file, behind what is still heard.

    Attributes:
        folder: where they go.
        max_files: how many are taken.
        parts: what came; complete once the writing is finished.
        ended: whether the last boundary came.
    """

    folder: Path
    max_files: int
    parts: list[Part] = field(default_factory=list)
    ended: bool = False
    _count: int = 0
    _name: bytes = b""
    _value: bytes = b""
    _media_type: str = DICOM
    _file: SpoolFile | None = None
    _behind: Behind = field(default_factory=Behind)

    def begin(self) -> None:
        """Open a file for the next part."""
        if self._count >= self.max_files:
            raise TooManyFiles(
                f"The upload holds more than {self.max_files} files, expected at most that."
            )
        self._count += 1
        self._media_type = DICOM
        self._behind.do(self._open, self.folder / f"part-{self._count}")

    def header_name(self, data: bytes, start: int, end: int) -> None:
        """Hear a piece of a header's name."""
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """Hear a piece of its value."""
        self._value += data[start:end]

    def header_end(self) -> None:
        """Look at the header."""
        if self._name.lower() == b"content-type":
            self._media_type = parse_options_header(self._value.decode("latin-1"))[0]
        self._name = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        """Write a piece of the part."""
        self._behind.do(self._write, memoryview(data)[start:end])

    def end(self) -> None:
        """Close the part's file."""
        self._behind.do(self._done, self._media_type)

    def finish(self) -> None:
        """Hear the end of the body."""
        self.ended = True

    def wait(self) -> None:
        """Wait until every part is written.

        Raises:
            StorageFull: the disk has no room for them.
        """
        self._behind.finish()

    def close(self) -> None:
        """Close what was being written when the body broke off."""
        self._behind.close()
        if self._file is not None:
            self._file.close()

    def _open(self, path: Path) -> None:
        self._file = SpoolFile(path)

    def _write(self, data: memoryview) -> None:
        if self._file is not None:
            self._file.write(data)

    def _done(self, media_type: str) -> None:
        if self._file is not None:
            self._file.hasten()
            self.parts.append(Part(media_type, self._file.done()))
            self._file = None


def check_related() -> str:
    """Return the boundary of the body that is to come.

    Raises:
        UnsupportedMediaType: it is no multipart/related of DICOM files.
        InvalidRequest: it names no boundary.
    """
    root = request.mimetype_params.get("type", DICOM)
    if request.mimetype != RELATED or root.lower() != DICOM:
        raise UnsupportedMediaType(
            f"The body is {request.mimetype or 'of no media type'} of {root}, expected"
            f' {RELATED}; type="{DICOM}".'
        )
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary or not boundary.isascii():
        raise InvalidRequest("The Content-Type of the body names no boundary, expected one.")
    return boundary


def receive_related(folder: Path, settings: Settings) -> list[Part]:
    """Write the parts of the request's body to a folder.

    Raises:
        UnsupportedMediaType: it is no multipart/related of DICOM files.
        UploadError: the bytes cannot be taken.
        InvalidRequest: the body is malformed.
        StorageFull: the disk is nearly full.
    """
    boundary = check_related()
    body = Body(settings, folder)
    with closing(Receiver(folder, settings.max_files)) as receiver:
        try:
            _parse(body, _parser(boundary, receiver))
            receiver.wait()
        except FormParserError as error:
            body.check_whole()
            # The parser's own words quote the bytes it met.
            raise InvalidRequest(
                "The multipart body is malformed, expected parts between its boundary."
            ) from error
    body.check_whole()
    if not receiver.ended and body.count:
        raise IncompleteUpload("The multipart body ends without its last boundary.")
    if not receiver.parts:
        raise EmptyUpload("The multipart body holds no part, expected DICOM files.")
    return receiver.parts


def _parse(body: Body, parser: MultipartParser) -> None:
    while data := body.read():
        parser.write(data)


def _parser(boundary: str, receiver: Receiver) -> MultipartParser:
    return MultipartParser(
        boundary,
        {
            "on_part_begin": receiver.begin,
            "on_header_field": receiver.header_name,
            "on_header_value": receiver.header_value,
            "on_header_end": receiver.header_end,
            "on_part_data": receiver.data,
            "on_part_end": receiver.end,
            "on_end": receiver.finish,
        },
    )
