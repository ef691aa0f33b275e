# SPDX-License-Identifier: Apache-2.0
"""Until when certificates are valid, by the little of ASN.1 that this takes."""

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

VERSION: Final = 0xA0
"""Tag of the one field before the serial number that may lack."""

UTC_TIME: Final = 0x17
"""Tag of a time whose year has two digits; 50 and above are of 19.. (RFC 5280, 4.1.2.5.1)."""


def expiries(path: Path) -> list[datetime]:
    """Return until when each certificate of a PEM file is valid, the soonest first.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no certificate, or something that is none.
    """
    found = PEM.findall(path.read_text(encoding="ascii", errors="replace"))
    if not found:
        raise ValueError("no certificate in it")
    return sorted(_not_after(ssl.PEM_cert_to_DER_cert(one)) for one in found)


def _not_after(der: bytes) -> datetime:
    """Return the end of the validity of a certificate.

    Source: RFC 5280, 4.1: version, serial number, algorithm, issuer, validity.
    """
    try:
        [(_, certificate)] = _parts(der)
        (_, signed), *_ = _parts(certificate)
        fields = [one for one in _parts(signed) if one[0] != VERSION]
        _, (tag, text) = _parts(fields[3][1])
        said = text.decode("ascii")
        if tag == UTC_TIME:
            said = f"{19 if said[:2] >= '50' else 20}{said}"
        return datetime.strptime(said, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (IndexError, UnicodeDecodeError) as error:
        raise ValueError("a certificate that is none") from error


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each part of a DER sequence (X.690, 8.1)."""
    place = 0
    while place < len(data):
        tag, length, place = data[place], data[place + 1], place + 2
        if length & 0x80:
            count = length & 0x7F
            length, place = int.from_bytes(data[place : place + count], "big"), place + count
        yield tag, data[place : place + length]
        place += length
