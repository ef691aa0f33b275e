# SPDX-License-Identifier: Apache-2.0
"""The UIDs of an instance, read while its sender waits."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from hilum.dicom.header import PREAMBLE, UID_PATTERN, read_header
from hilum.dicom.quiet import quiet

HEAD: Final = 64 * 1024
"""Bytes that a header is looked for in; scanners write a tenth of it."""

META_LENGTH: Final = (0x00020000, b"UL", 4)
"""Tag, representation and length of what every file begins with (PS3.10 7.1)."""

SYNTAX: Final = 0x00020010
CHARACTERS: Final = 0x00080005
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
WANTED: Final = frozenset({SYNTAX, SOP_CLASS, SOP_INSTANCE, STUDY, SERIES})

USUAL_CHARACTERS: Final = re.compile(rb"[A-Z0-9_ \\]*")
"""What SpecificCharacterSet is written in; a parser breaks off at some others."""

PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Where a header ends."""

PLAIN: Final = frozenset(AllTransferSyntaxes) - {
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
}
"""Transfer syntaxes whose headers are Explicit VR Little Endian (PS3.5 A.2, A.4)."""

SHORT: Final = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_16)
LONG: Final = frozenset(vr.encode() for vr in EXPLICIT_VR_LENGTH_32)
"""Value representations whose length has two bytes, or four after two of nothing (PS3.5 7.1.2)."""

_SHORT_ELEMENT: Final = struct.Struct("<HH2sH")
_LONG_ELEMENT: Final = struct.Struct("<HH2s2xL")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What an instance and those above it are called; the class alone may be absent, and is ""."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str


def read_identifiers(path: Path) -> Identifiers | None:
    """Return the UIDs that `read_header` finds; None where it finds no instance.

    A header is stepped over, many times as fast as it is parsed, if nothing in it is unusual:
    whoever is told that an instance is kept counts on a parser that reads it.
    """
    with path.open("rb") as stream:
        head = stream.read(HEAD)
    try:
        return _glance(head)
    except (KeyError, ValueError, struct.error):
        return _parsed(path)


def _glance(head: bytes) -> Identifiers:
    found = {}
    before = 0
    for tag, vr, value in _elements(head):
        if tag <= before or (not before and (tag, vr, len(value)) != META_LENGTH):
            raise ValueError(tag)
        if tag == CHARACTERS and not USUAL_CHARACTERS.fullmatch(value):
            raise ValueError(tag)
        if tag in WANTED:
            found[tag] = _uid(vr, value)
        before = tag
    if found[SYNTAX] not in PLAIN:
        raise ValueError(found[SYNTAX])
    return Identifiers(found[STUDY], found[SERIES], found[SOP_INSTANCE], found.get(SOP_CLASS, ""))


def _elements(head: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield tag, value representation and value of each element before the pixels."""
    if head[PREAMBLE : PREAMBLE + 4] != b"DICM":
        raise ValueError("no preamble")
    at = PREAMBLE + 4
    while at < len(head):
        group, number, vr, length = _SHORT_ELEMENT.unpack_from(head, at)
        start = at + _SHORT_ELEMENT.size
        if vr in LONG:
            group, number, vr, length = _LONG_ELEMENT.unpack_from(head, at)
            start = at + _LONG_ELEMENT.size
        elif vr not in SHORT:
            raise ValueError(vr)
        if (tag := group << 16 | number) in PIXELS:
            return
        at = start + length
        # A length that is not known goes far past the end, too.
        if at > len(head):
            raise ValueError(length)
        yield tag, vr, head[start:at]
    if at == HEAD:
        raise ValueError("longer than what was read")


def _uid(vr: bytes, value: bytes) -> str:
    uid = value.rstrip(b" \x00").decode("latin-1")
    if vr != b"UI" or not UID_PATTERN.fullmatch(uid):
        raise ValueError(vr)
    return uid


def _parsed(path: Path) -> Identifiers | None:
    with quiet():
        header = read_header(path)
    if header is None:
        return None
    one = header.instance
    return Identifiers(header.study_uid, header.series_uid, one.sop_instance_uid, one.sop_class_uid)
