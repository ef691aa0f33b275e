# SPDX-License-Identifier: Apache-2.0
"""Dates and times moved by whole days; what is no date or time becomes empty."""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})|(\d{4})\.(\d{2})\.(\d{2})", re.ASCII)
"""PS3.5 6.2, the second form of ACR-NEMA 300."""

_TIME = re.compile(
    r"([01]\d|2[0-3])(([0-5]\d)(([0-5]\d|60)(\.\d{1,6})?)?)?"
    r"|([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,6})?",
    re.ASCII,
)
_DATETIME = re.compile(r"(\d{8})(.*?)([+-]\d{4})?", re.ASCII)
_AGE = re.compile(r"\d{3}[DWMY]", re.ASCII)


def shifted(vr: str, value: str, days: int) -> str:
    """Return a DA, DT or TM this many days on, times of day as they are; "" where it is none.

    A DT that names no day cannot be moved by days, and is empty too.
    """
    text = value.strip(" \x00")
    return _SHIFTS[vr](text, days)


def is_age(value: str) -> bool:
    """Tell whether a text is an AS."""
    return _AGE.fullmatch(value.strip(" \x00")) is not None


def _date(text: str, days: int) -> str:
    found = _DATE.fullmatch(text)
    if found is None:
        return ""
    year, month, day = (int(part) for part in found.groups() if part is not None)
    try:
        moved = date(year, month, day) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"


def _time(text: str, _: int) -> str:
    return text if _TIME.fullmatch(text) else ""


def _datetime(text: str, days: int) -> str:
    found = _DATETIME.fullmatch(text)
    if found is None:
        return ""
    day, time, zone = found.groups("")
    moved = _date(day, days)
    return f"{moved}{time}{zone}" if moved and (not time or _time(time, 0)) else ""


_SHIFTS: Final[Mapping[str, Callable[[str, int], str]]] = {
    "DA": _date,
    "DT": _datetime,
    "TM": _time,
}
