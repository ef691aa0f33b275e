# SPDX-License-Identifier: Apache-2.0
"""What a client accepts (PS3.18 8.7.5): media types, in one part or many, and transfer syntaxes."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from flask import request
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import NotAcceptable
from werkzeug.http import parse_accept_header, parse_options_header

ANY: Final = "*"
RELATED: Final = "multipart/related"

UNQUOTED: Final = re.compile(r"type=([\w.+*-]+/[\w.+*-]+)")
"""A slash needs quotes (RFC 9110 5.6.2), and widespread viewers leave them out."""

Offer = TypeVar("Offer")


@dataclass(frozen=True, slots=True)
class Accepted:
    """One thing that a client takes.

    Attributes:
        media_type: of the answer, or of each part of it; may have stars.
        is_multipart: whether it comes in parts; None where either will do.
        syntax: transfer syntax, `*` for any; None where the client leaves it to the standard.
    """

    media_type: str
    is_multipart: bool | None
    syntax: str | None

    def takes(self, media_type: str) -> bool:
        """Return whether a media type is one of those meant."""
        kind, _, name = self.media_type.partition("/")
        own_kind, _, own_name = media_type.partition("/")
        return kind in {ANY, own_kind} and name in {ANY, "", own_name}


def accepted() -> list[Accepted]:
    """Return what the client of this request takes, the best first."""
    # The parameter of the query goes before the header (PS3.18 8.3.3.1): links cannot set headers.
    asked = request.args.get("accept") or request.headers.get("Accept") or "*/*"
    quoted = UNQUOTED.sub(r'type="\1"', asked)
    return [found for value, _ in parse_accept_header(quoted, MIMEAccept) for found in _read(value)]


def _read(value: str) -> Iterator[Accepted]:
    name, options = parse_options_header(value)
    media_type = name.lower()
    syntax = options.get("transfer-syntax")
    if media_type == RELATED:
        yield Accepted(_plain(options.get("type", "*/*")), is_multipart=True, syntax=syntax)
    elif media_type == "*/*":
        yield Accepted(media_type, is_multipart=None, syntax=syntax)
    elif media_type:
        yield Accepted(_plain(media_type), is_multipart=False, syntax=syntax)


def _plain(media_type: str) -> str:
    # Before they were registered, some types were experimental: image/x-jls.
    return media_type.lower().replace("/x-", "/")


def choose(offer: Callable[[Accepted], Offer | None], *, offered: str) -> Offer:
    """Return what is offered for the first thing accepted for which anything is.

    Args:
        offer: returns None where it has nothing.
        offered: what there is, for the refusal.

    Raises:
        NotAcceptable: nothing is.
    """
    for one in accepted():
        found = offer(one)
        if found is not None:
            return found
    raise refusal(offered)


def choose_type(media_types: Sequence[str]) -> str:
    """Return which of these media types, in one part, the client likes best."""
    return choose(
        lambda one: next((each for each in media_types if _in_one(one, each)), None),
        offered=", ".join(media_types),
    )


def _in_one(one: Accepted, media_type: str) -> bool:
    return not one.is_multipart and one.takes(media_type)


def refusal(offered: str) -> NotAcceptable:
    """Return the error that says what there is."""
    return NotAcceptable(f"This resource comes as {offered}; none of it was accepted.")
