# SPDX-License-Identifier: Apache-2.0
"""Where a hospital has its results sent: an archive that speaks DIMSE or DICOMweb, and what it gets."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from pydantic import ConfigDict, TypeAdapter

from hilum.catalogue import RESULTS
from hilum.errors import InvalidRequest

ORIGINALS: Final = "originals"
"""What the hospital itself had sent; any other content is one of `RESULTS`."""

CONTENTS: Final = (*RESULTS, ORIGINALS)

CALLING: Final = "HILUM"
"""Title by which Hilum calls where no other is asked for."""

NAME: Final = r"[A-Za-z0-9._-]{1,64}"
"""What a hospital may call an archive."""

_ENTITY: Final = re.compile(
    r"(?P<title>[^@\\]{1,16})@(?P<host>[^@:/]+|\[[^]]+\]):(?P<port>\d{1,5})"
)
"""`TITLE@host:port`, as dcm4che and DCMTK's users write it."""


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Dimse:
    """An archive that takes C-STORE (PS3.4 B).

    Attributes:
        title: application entity title that is called.
        host, port: where.
        calling: title by which Hilum calls.
        tls: whether it speaks TLS.
        is_bounded: whether it may lead into `HILUM_DESTINATION_NETWORKS` alone: an admin of one
            hospital named it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    title: str
    host: str
    port: int
    calling: str = CALLING
    tls: bool = False
    is_bounded: bool = False

    def __str__(self) -> str:
        """Name it as it is given."""
        return f"{self.title}@{self.host}:{self.port}" + (" by TLS" if self.tls else "")


@dataclass(frozen=True, slots=True)
class Stow:
    """An archive that takes STOW-RS (PS3.18 10.5).

    Attributes:
        url: of the service, without `/studies`.
        authorization: value of that header; a secret.
        is_bounded: whether it may lead into `HILUM_DESTINATION_NETWORKS` alone: an admin of one
            hospital named it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    url: str
    authorization: str = field(default="", repr=False)
    is_bounded: bool = False

    def __str__(self) -> str:
        """Name it as it is given, without its secret."""
        return self.url


Address = Dimse | Stow

ADDRESS: Final[TypeAdapter[Address]] = TypeAdapter(Address)
"""Reads an address that was kept as JSON."""


def parse_entity(text: str, *, calling: str = CALLING, tls: bool = False) -> Dimse:
    """Read `TITLE@host:port`.

    Raises:
        InvalidRequest: it is none.
    """
    found = _ENTITY.fullmatch(text)
    if found is None or not 0 < int(found["port"]) < 65536:  # noqa: PLR2004 - a port has 16 bits
        raise InvalidRequest(f"The archive is {text!r}, expected TITLE@host:port.")
    check_title(calling)
    check_title(found["title"])
    return Dimse(found["title"], found["host"].strip("[]"), int(found["port"]), calling, tls)


def parse_service(url: str, *, authorization: str = "") -> Stow:
    """Read the address of a DICOMweb service.

    Raises:
        InvalidRequest: it is none, or holds a password, which would be shown with it.
    """
    if not _is_service(url):
        raise InvalidRequest(
            "The service's address is malformed, expected http:// or https://, without password"
            " and query."
        )
    if not authorization.isascii() or not authorization.isprintable():
        raise InvalidRequest("The authorization is no header's value, expected one line of ASCII.")
    return Stow(url.rstrip("/"), authorization)


def _is_service(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_there = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    is_plain = url.isascii() and url.isprintable() and not set(url) & set("@?# ")
    return is_plain and is_there and parts.scheme in {"http", "https"}


def check_title(title: str) -> None:
    """Make sure that a text is an application entity title (PS3.5 6.2, AE).

    Raises:
        InvalidRequest: it is none.
    """
    is_plain = title.isascii() and title.isprintable() and "\\" not in title
    if not is_plain or title != title.strip() or not 1 <= len(title) <= 16:  # noqa: PLR2004 - PS3.5 6.2
        raise InvalidRequest(
            f"The title {title!r} is none of DICOM's, expected 1 to 16 printable ASCII characters"
            " without backslash."
        )


def to_json(address: Address) -> dict[str, Any]:
    """Return an address as `ADDRESS` reads it."""
    plain: dict[str, Any] = ADDRESS.dump_python(address)
    return plain
