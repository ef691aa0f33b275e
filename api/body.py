# SPDX-License-Identifier: Apache-2.0
"""The body of a request as a stream that counts, hashes and stops at its limits."""

import base64
import binascii
import hashlib
import sys
from pathlib import Path
from typing import IO, Final

from flask import request
from werkzeug.exceptions import ClientDisconnected, RequestTimeout
from werkzeug.http import parse_dict_header

from hilum.errors import IncompleteUpload, InvalidRequest, UploadTooLarge
from hilum.settings import MIB, Settings
from hilum.storage import check_free

CHUNK: Final = 256 * 1024
"""Bytes read at a time; an upload of any size costs a few of these."""

LOOK_EVERY: Final = 16 * MIB
"""Bytes read between two looks at the disk's free space."""

STALL_S: Final = 60.0
"""A client silent for so long is given up: it holds one of few threads."""

DIGEST: Final = "sha-256"
"""The algorithm of Content-Digest (RFC 9530) that is checked."""


class Body:
    """The body of the current request, read once from its beginning to its end.

    Attributes:
        count: bytes read so far.
    """

    def __init__(self, settings: Settings, folder: Path, *, stall_s: float | None = None) -> None:
        """Look at what the headers say of the body, before any of it is read.

        Args:
            settings: the limits.
            folder: on the disk that the body is written to.
            stall_s: how long the client may be silent; `STALL_S` where absent.

        Raises:
            UploadTooLarge: the body is larger than the limit.
            StorageFull: the body does not fit on the disk.
            InvalidRequest: the digest sent along is malformed.
        """
        self.count = 0
        self._max_bytes = settings.max_upload_mb * MIB
        self._min_free_mb = settings.min_free_mb
        self._folder = folder
        self._check_length(request.content_length or 0)
        self._look(request.content_length or 0)
        self._expected = _expected_digest()
        self._digest = hashlib.sha256()
        self._stall_s = STALL_S if stall_s is None else stall_s
        self._stream = _open_stream(self._stall_s)

    def read(self, size: int = CHUNK) -> bytes:
        """Return the next bytes; none at the end.

        Raises:
            UploadTooLarge: the body has grown past its limit.
            StorageFull: the disk has no room for more.
            IncompleteUpload: the body ended too early.
            RequestTimeout: the client fell silent.
        """
        try:
            data = self._stream.read(size)
        except ClientDisconnected as error:
            # Werkzeug says so of every trouble on the wire.
            if isinstance(error.__context__, TimeoutError):
                raise RequestTimeout(
                    f"The client sent nothing for {self._stall_s:.0f} s."
                ) from error
            raise self._incomplete() from error
        self._account(data)
        return data

    def drain(self) -> None:
        """Read the rest and keep nothing, so that the client is heard out before it is answered."""
        while self.read():
            pass

    def check_whole(self) -> None:
        """Make sure that the body arrived as it was sent, once it is read to its end.

        Raises:
            IncompleteUpload: bytes are missing, or others than the digest was made of.
        """
        self.drain()
        if request.content_length not in {None, self.count}:
            raise self._incomplete()
        found = self._digest.digest()
        if self._expected not in {None, found}:
            raise IncompleteUpload(
                f"The upload has SHA-256 {found.hex()}, Content-Digest says"
                f" {(self._expected or b'').hex()}."
            )

    def _account(self, data: bytes) -> None:
        before, self.count = self.count, self.count + len(data)
        self._check_length(self.count)
        if before // LOOK_EVERY != self.count // LOOK_EVERY:
            self._look(0)
        if self._expected is not None:
            self._digest.update(data)

    def _check_length(self, length: int) -> None:
        if length > self._max_bytes:
            raise UploadTooLarge(
                f"The upload has {length / MIB:.1f} MiB or more, expected at most"
                f" {self._max_bytes // MIB} MiB."
            )

    def _look(self, needed: int) -> None:
        check_free(self._folder, needed=needed, min_free_mb=self._min_free_mb)

    def _incomplete(self) -> IncompleteUpload:
        return IncompleteUpload(
            f"The upload ended after {self.count} bytes, expected {request.content_length}."
        )


def _open_stream(stall_s: float) -> IO[bytes]:
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        # Gunicorn's threads wait for ever on a silent client; it resets this with each request.
        connection.settimeout(stall_s)
    # Counted here, where the limit is told in a sentence; Flask's own is for small bodies.
    request.max_content_length = sys.maxsize
    return request.stream


def _expected_digest() -> bytes | None:
    header = request.headers.get("Content-Digest")
    if header is None:
        return None
    text = parse_dict_header(header).get(DIGEST)
    if text is None:
        return None
    try:
        # A byte sequence of structured fields: base64 between colons (RFC 8941 3.3.5).
        return base64.b64decode(text.strip(":"), validate=True)
    except binascii.Error as error:
        raise InvalidRequest(
            f"Content-Digest is {header!r}, expected {DIGEST}=:<base64>:."
        ) from error
