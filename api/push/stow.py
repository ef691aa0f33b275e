# SPDX-License-Identifier: Apache-2.0
"""The user's side of STOW-RS (PS3.18 10.5): objects go to an archive over HTTP."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import httpx

from api.push.outgoing import Outgoing
from hilum.destinations import Stow
from hilum.dicom.attributes import tag_of
from hilum.errors import Undelivered

LIMITS: Final = httpx.Timeout(60.0, connect=10.0)
"""An archive that neither takes nor answers anything for so long is away."""

CHUNK: Final = 1024 * 1024

DUPLICATE: Final = 0x0111
"""Duplicate SOP instance (PS3.7 C.5.7): it was there before, so it was delivered."""

FAILED: Final = tag_of("FailedSOPSequence")
REASON: Final = tag_of("FailureReason")


def store(files: Sequence[Outgoing], to: Stow, scratch: Path) -> None:
    """Send every object in one request.

    Args:
        files: what to send.
        to: the archive.
        scratch: folder for files in another encoding.

    Raises:
        Undelivered: the archive is away, or did not take one of them.
        UnreadableObject, UnreadablePixels: an object has to be decoded for it, and cannot be.
    """
    plain = [one.inflated(scratch) if one.is_deflated else one for one in files]
    boundary = token_hex()
    # With a length: a body in chunks is refused by some archives.
    length = sum(len(head) + one.path.stat().st_size for head, one in _heads(plain, boundary))
    headers = {
        "Accept": "application/dicom+json",
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(length + len(_end(boundary))),
    }
    answer = _request("POST", f"{to.url}/studies", to, headers, _body(plain, boundary))
    if answer.status_code not in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT}:
        raise Undelivered(f"{to} answered {answer.status_code}.")
    _check(answer, to)


def echo(to: Stow) -> None:
    """Ask an archive whether it is there, by the shortest of searches.

    Raises:
        Undelivered: it is not.
    """
    headers = {"Accept": "application/dicom+json"}
    answer = _request("GET", f"{to.url}/studies?limit=1", to, headers, None)
    if not answer.is_success:
        raise Undelivered(f"{to} answered {answer.status_code}.")


def _request(
    method: str, url: str, to: Stow, headers: dict[str, str], body: Iterator[bytes] | None
) -> httpx.Response:
    secret = {"Authorization": to.authorization} if to.authorization else {}
    try:
        # A redirect would take the study and the secret to somebody else.
        return httpx.request(method, url, headers=headers | secret, content=body, timeout=LIMITS)
    except httpx.HTTPError as error:
        raise Undelivered(f"{to} does not answer ({type(error).__name__}).") from error


def _heads(files: Sequence[Outgoing], boundary: str) -> Iterator[tuple[bytes, Outgoing]]:
    for number, one in enumerate(files):
        before = "\r\n" if number else ""
        yield f"{before}--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(), one


def _body(files: Sequence[Outgoing], boundary: str) -> Iterator[bytes]:
    for head, one in _heads(files, boundary):
        yield head
        with one.path.open("rb") as stream:
            while piece := stream.read(CHUNK):
                yield piece
    yield _end(boundary)


def _end(boundary: str) -> bytes:
    return f"\r\n--{boundary}--\r\n".encode()


def _check(answer: httpx.Response, to: Stow) -> None:
    """Make sure that every object was taken (PS3.18 Table 10.5.3-1)."""
    try:
        document: Any = answer.json()
        failed = document.get(FAILED, {}).get("Value", [])
        reasons = {one.get(REASON, {}).get("Value", [0])[0] for one in failed}
    except (AttributeError, LookupError, TypeError, ValueError):
        # Some answer 200 with XML or with nothing, whatever is asked for.
        failed, reasons = [], set()
    if reasons <= {DUPLICATE} and (failed or answer.status_code != HTTPStatus.CONFLICT):
        return
    codes = ", ".join(sorted(f"0x{int(one):04X}" for one in reasons)) or "none"
    raise Undelivered(
        f"{to} answered {answer.status_code} and did not take {len(failed)} objects,"
        f" for the reasons {codes}."
    )
