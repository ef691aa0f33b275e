# SPDX-License-Identifier: Apache-2.0
"""The words of tus 1.0.0: its version, metadata, checksums, and methods that a proxy forbids.

Source: https://tus.io/protocols/resumable-upload, 1.0.0 of 2016-03-25.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Final, ParamSpec, Self, TypeVar
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from hilum.errors import ChecksumMismatch, InvalidRequest, WrongTusVersion

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,creation-with-upload,expiration,checksum,termination"

CHUNK_TYPE: Final = "application/offset+octet-stream"
"""Media type of every chunk."""

ALGORITHMS: Final = ("sha256", "sha1", "md5")
"""Of checksums; tus asks every server for sha1. They tell accidents, not forgeries."""

OVERRIDES: Final[Mapping[str, str]] = {"PATCH": "PATCH", "DELETE": "DELETE", "HEAD": "GET"}
"""What X-HTTP-Method-Override may ask for, and how it is served: who sent POST awaits a body."""

P = ParamSpec("P")
T = TypeVar("T")


def speaks_tus(view: Callable[P, T]) -> Callable[P, T]:
    """Refuse, with 412, who does not say that it speaks this version."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        check_version()
        return view(*args, **kwargs)

    return checked


def check_version() -> None:
    """Make sure that the client speaks this version.

    Raises:
        WrongTusVersion: it names another one, or none.
    """
    found = request.headers.get("Tus-Resumable")
    if found != VERSION:
        raise WrongTusVersion(f"Tus-Resumable is {found or 'missing'}, expected {VERSION}.")


def check_chunk_type() -> None:
    """Make sure that the body is a chunk.

    Raises:
        UnsupportedMediaType: it is not.
    """
    if request.mimetype != CHUNK_TYPE:
        raise UnsupportedMediaType(
            f"The chunk is {request.mimetype or 'of no media type'}, expected {CHUNK_TYPE}."
        )


def parse_metadata(header: str) -> dict[str, str]:
    """Return what Upload-Metadata says: keys with values in base64, divided by commas.

    Raises:
        InvalidRequest: it is malformed.
    """
    pairs = [pair.split() for pair in header.split(",")] if header.strip() else []
    fields = {pair[0]: _decode(number, pair[1:]) for number, pair in enumerate(pairs, 1) if pair}
    # Two values under one name, or a comma too many: nobody can tell what was meant.
    if len(fields) != len(pairs):
        raise InvalidRequest("Upload-Metadata has a key twice, or a pair without one.")
    return fields


def _decode(number: int, value: list[str]) -> str:
    try:
        # A space is no digit of base64, so two values are malformed as one.
        return base64.b64decode(" ".join(value), validate=True).decode()
    except ValueError as error:
        # Pairs are called by number: what is malformed may hold a patient's name.
        raise InvalidRequest(
            f"Pair {number} of Upload-Metadata is no key and UTF-8 text in base64."
        ) from error


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of a chunk should hash to."""

    algorithm: str
    expected: bytes

    @classmethod
    def of(cls, header: str) -> Self:
        """Return what Upload-Checksum says.

        Raises:
            BadRequest: the algorithm is not known, or the value is malformed.
        """
        algorithm, _, value = header.partition(" ")
        if algorithm not in ALGORITHMS:
            raise BadRequest(
                f"Upload-Checksum is by {algorithm!r}, expected one of {', '.join(ALGORITHMS)}."
            )
        try:
            return cls(algorithm, base64.b64decode(value, validate=True))
        except binascii.Error as error:
            raise BadRequest("The value of Upload-Checksum is not base64.") from error

    def follow(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield chunks as they are, and look at them all at the end.

        Raises:
            ChecksumMismatch: they are not what was sent.
        """
        digest = hashlib.new(self.algorithm, usedforsecurity=False)
        for chunk in chunks:
            digest.update(chunk)
            yield chunk
        if digest.digest() != self.expected:
            raise ChecksumMismatch(
                f"The chunk has {self.algorithm} {digest.hexdigest()}, Upload-Checksum says"
                f" {self.expected.hex()}; it was not kept."
            )


@dataclass(frozen=True, slots=True)
class MethodOverride:
    """Around an app: below one path, POST stands for the method that its header names.

    Some proxies between a ward and the world let nothing but GET and POST pass.
    """

    app: WSGIApplication
    path: str

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Serve a request by the method that is meant."""
        is_here = environ["PATH_INFO"].startswith(self.path)
        wanted = environ.get("HTTP_X_HTTP_METHOD_OVERRIDE", "")
        if is_here and environ["REQUEST_METHOD"] == "POST" and wanted in OVERRIDES:
            environ["REQUEST_METHOD"] = OVERRIDES[wanted]
        return self.app(environ, start)
