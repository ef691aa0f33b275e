# SPDX-License-Identifier: Apache-2.0
"""Answers of many parts (RFC 2387, PS3.18 8.6.1.2), written as they are read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from flask import Response

from api.dicomweb.accept import RELATED


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer.

    Attributes:
        media_type: of its bytes.
        syntax: their transfer syntax; None where they have none.
        chunks: the bytes.
    """

    media_type: str
    syntax: str | None
    chunks: Iterable[bytes]

    @property
    def content_type(self) -> str:
        """Media type and transfer syntax, as headers have them."""
        return (
            f"{self.media_type}; transfer-syntax={self.syntax}" if self.syntax else self.media_type
        )


def related(parts: Iterator[Part]) -> Response:
    """Return an answer of these parts; there has to be one.

    The first part is made before the answer begins, so that what cannot be sent is refused by name.
    """
    first = next(parts)
    boundary = uuid4().hex
    return Response(
        _write(first, parts, boundary),
        content_type=f'{RELATED}; type="{first.media_type}"; boundary={boundary}',
    )


def single(part: Part) -> Response:
    """Return an answer that is one part alone."""
    return Response(part.chunks, content_type=part.content_type)


def _write(first: Part, others: Iterator[Part], boundary: str) -> Iterator[bytes]:
    start = f"--{boundary}"
    for part in _all(first, others):
        yield f"{start}\r\nContent-Type: {part.content_type}\r\n\r\n".encode()
        yield from part.chunks
        start = f"\r\n--{boundary}"
    yield f"\r\n--{boundary}--\r\n".encode()


def _all(first: Part, others: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from others
