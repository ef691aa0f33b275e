# SPDX-License-Identifier: Apache-2.0
"""What the value of a search key asks for (PS3.4 C.2.2.2), by the kind of its attribute."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydicom.datadict import dictionary_VR

from hilum.dicom.header import UID_PATTERN
from hilum.errors import InvalidRequest

LONGEST_TEXT: Final = 256
"""Characters of a value; a name of three groups has fewer (PS3.5 6.2)."""

MOST_VALUES: Final = 500
"""UIDs of a list; more would not fit the line of a request anyway."""

WILDCARDS: Final = re.compile(r"[*?]")
SEPARATORS: Final = re.compile(r"[,\\]")
DATE: Final = re.compile(r"\d{8}", re.ASCII)
TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?", re.ASCII)
NUMBER: Final = re.compile(r"[+-]?\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these, letter by letter."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The value has this form.

    Attributes:
        pattern: `*` stands for any characters, `?` for one.
        any_case: whether large and small letters are the same, as they are in names.
    """

    pattern: str
    any_case: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """The value, as DICOM writes dates and times, lies between these; None is no end."""

    first: str | None
    last: str | None


Match = OneOf | Like | Between


def match_of(keyword: str, asked: str) -> Match | None:
    """Return what a key asks of its attribute; None where it asks nothing.

    Raises:
        InvalidRequest: the value is none that this attribute could have.
    """
    read = READERS[dictionary_VR(keyword)]
    value = asked.strip()
    if "\x00" in value:
        raise InvalidRequest(f"{keyword} holds a NUL, expected text.")
    return read(keyword, value) if value else None


def _text(keyword: str, value: str) -> Match | None:
    _check_length(keyword, value)
    if not value.strip("*"):
        return None
    return Like(value) if WILDCARDS.search(value) else OneOf((value,))


def _name(keyword: str, value: str) -> Match | None:
    _check_length(keyword, value)
    # Components that are empty at the end may be left out (PS3.5 6.2.1).
    return Like(value.rstrip("^ "), any_case=True) if value.strip("*^ ") else None


def _code(keyword: str, value: str) -> Match | None:
    if WILDCARDS.search(value):
        return _text(keyword, value)
    _check_length(keyword, value)
    return _list(value)


def _uids(keyword: str, value: str) -> Match | None:
    found = _list(value)
    if found is None:
        return None
    for one in found.values:
        if not UID_PATTERN.fullmatch(one):
            raise InvalidRequest(f"{keyword} is {one[:80]!r}, expected UIDs.")
    if len(found.values) > MOST_VALUES:
        raise InvalidRequest(
            f"{keyword} has {len(found.values)} values, expected at most {MOST_VALUES}."
        )
    return found


def _list(value: str) -> OneOf | None:
    values = tuple(each.strip() for each in SEPARATORS.split(value) if each.strip())
    return OneOf(values) if values else None


def _number(keyword: str, value: str) -> Match:
    if not NUMBER.fullmatch(value):
        raise InvalidRequest(f"{keyword} is {value[:80]!r}, expected a whole number.")
    return OneOf((str(int(value)),))


def _dates(keyword: str, value: str) -> Match:
    first, last = _ends(keyword, value)
    for end in (first, last):
        if end is not None and not _is_date(end):
            raise InvalidRequest(f"{keyword} is {value[:80]!r}, expected YYYYMMDD or a range.")
    return Between(first, last)


def _times(keyword: str, value: str) -> Match:
    first, last = _ends(keyword, value)
    for end in (first, last):
        if end is not None and not TIME.fullmatch(end):
            raise InvalidRequest(f"{keyword} is {value[:80]!r}, expected HHMMSS or a range.")
    return Between(first, None if last is None else _latest(last))


def _ends(keyword: str, value: str) -> tuple[str | None, str | None]:
    first, dash, last = value.partition("-")
    if not dash:
        return value, value
    if not first and not last:
        raise InvalidRequest(f"{keyword} is {value!r}, expected a value on one side of the dash.")
    return first or None, last or None


def _is_date(value: str) -> bool:
    with suppress(ValueError):
        return bool(DATE.fullmatch(value)) and bool(date.fromisoformat(value))
    return False


def _latest(time: str) -> str:
    """Return the last instant that a time means: 1030 lasts until 103059.999999."""
    whole, _, fraction = time.partition(".")
    return f"{whole}{'235959'[len(whole) :]}.{fraction:9<6}"


def _check_length(keyword: str, value: str) -> None:
    if len(value) > LONGEST_TEXT:
        raise InvalidRequest(
            f"{keyword} has {len(value)} characters, expected at most {LONGEST_TEXT}."
        )


READERS: Final[Mapping[str, Callable[[str, str], Match | None]]] = {
    "CS": _code,
    "DA": _dates,
    "IS": _number,
    "LO": _text,
    "PN": _name,
    "SH": _text,
    "TM": _times,
    "UI": _uids,
}
"""How the value of a key is read, by value representation."""
