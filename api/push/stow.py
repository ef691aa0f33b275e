# SPDX-License-Identifier: Apache-2.0
"""The user's side of STOW-RS (PS3.18 10.5): objects go to an archive over HTTP."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import httpx

from api.push.bounds import place_of
from api.push.outgoing import Outgoing
from api.secure import client_context
from hilum.destinations import Stow
from hilum.dicom.attributes import tag_of
from hilum.errors import Undelivered
from hilum.settings import Settings

LIMITS: Final = httpx.Timeout(60.0, connect=10.0, read=600.0)
"""An archive that takes nothing for so long is away; it may think about a whole study for longer."""

CHUNK: Final = 1024 * 1024

DUPLICATE: Final = 0x0111
"""Duplicate SOP instance (PS3.7 C.5.7): it was there before, so it was delivered."""

FAILED: Final = tag_of("FailedSOPSequence")
REASON: Final = tag_of("FailureReason")


def store(files: Sequence[Outgoing], to: Stow, scratch: Path, settings: Settings) -> None:
    """Send every object in one request.

    Args:
        files: what to send.
        to: the archive.
        scratch: folder for files in another encoding.
        settings: of TLS.

    Raises:
        Undelivered: the archive is away, or did not take one of them.
        MissingSetting: the files of TLS cannot be used.
        NotPermitted: the archive lies where whoever named it may name none.
        UnreadableObject, UnreadablePixels: an object has to be decoded for it, and cannot be.
    """
    plain = [
        one.inflated(scratch) if one.is_deflated or not one.is_proper else one for one in files
    ]
    boundary = token_hex()
    # With a length: a body in chunks is refused by some archives.
    length = sum(len(head) + one.path.stat().st_size for head, one in _heads(plain, boundary))
    headers = {
        "Accept": "application/dicom+json",
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Content-Length": str(length + len(_end(boundary))),
    }
    body = _body(plain, boundary)
    answer = _request("POST", "studies", to, headers, settings, body)
    if answer.status_code not in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT}:
        raise Undelivered(f"{to} answered {answer.status_code}.")
    _check(answer, to)


def echo(to: Stow, settings: Settings) -> None:
    """Ask an archive whether it is there, by the shortest of searches.

    Raises:
        Undelivered: it is not.
        MissingSetting: the files of TLS cannot be used.
        NotPermitted: the archive lies where whoever named it may name none.
    """
    headers = {"Accept": "application/dicom+json"}
    answer = _request("GET", "studies?limit=1", to, headers, settings)
    if not answer.is_success:
        raise Undelivered(f"{to} answered {answer.status_code}.")


def _request(
    method: str,
    path: str,
    to: Stow,
    headers: dict[str, str],
    settings: Settings,
    body: Iterator[bytes] | None = None,
) -> httpx.Response:
    secret = {"Authorization": to.authorization} if to.authorization else {}
    place = place_of(to, settings)
    # A redirect, which httpx does not follow, would take study and secret to somebody else. A proxy
    # of the environment would ask for a bounded archive from elsewhere than was looked at.
    with httpx.Client(
        verify=client_context(settings), timeout=LIMITS, trust_env=not to.is_bounded
    ) as client:
        try:
            named = httpx.URL(f"{to.url}/{path}")
            # It is asked for, and its certificate checked, by the name that it was given.
            known = {"Host": named.netloc.decode()}
            return client.request(
                method,
                named.copy_with(host=place),
                headers=headers | secret | known,
                content=body,
                extensions={"sni_hostname": named.host},
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
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
        reasons = _reasons(answer.json())
    except (AttributeError, TypeError, ValueError):
        # Some answer 200 with XML or with nothing, whatever is asked for.
        if answer.status_code == HTTPStatus.OK:
            return
        raise Undelivered(f"{to} answered {answer.status_code}, and not why.") from None
    if set(reasons) <= {DUPLICATE} and (reasons or answer.status_code != HTTPStatus.CONFLICT):
        return
    codes = ", ".join(sorted({f"0x{one:04X}" for one in reasons})) or "none"
    raise Undelivered(
        f"{to} answered {answer.status_code} and did not take {len(reasons)} objects,"
        f" for the reasons {codes}."
    )


def _reasons(document: Any) -> list[int]:
    """Return why each object was not taken, 0 where it is not said."""
    # Some put their one answer into a list, as searches are answered.
    [one] = document if isinstance(document, list) else [document]
    return [_reason(item) for item in one.get(FAILED, {}).get("Value", [])]


def _reason(item: Any) -> int:
    try:
        return int(item[REASON]["Value"][0])
    except (LookupError, TypeError, ValueError):
        return 0
