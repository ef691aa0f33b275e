# SPDX-License-Identifier: Apache-2.0
"""The days that a page is asked about, by the midnights of the installation's time zone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

from hilum.errors import InvalidRequest

CHOICES: Final = (7, 30, 90, 365)
"""Numbers of days, today among them, that are one click away."""

USUAL: Final = 30

LONGEST: Final = 3 * 366
"""Days; a chart has a bar for each."""

EARLIEST: Final = date(2000, 1, 1)
"""No case is older than Hilum, and the arithmetic of days ends somewhere."""


@dataclass(frozen=True, slots=True)
class Period:
    """Some days in a row.

    Attributes:
        first, last: both included.
        zone: whose days they are.
        choice: the number of days that was asked for; None where two dates were.
    """

    first: date
    last: date
    zone: ZoneInfo
    choice: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str], zone: ZoneInfo) -> Self:
        """Return the period that `days`, or `from` and `to`, ask for.

        Raises:
            InvalidRequest: it is none, or too long.
        """
        today = datetime.now(zone).date()
        if not (asked.get("from") or asked.get("to")):
            days = _number(asked.get("days") or str(USUAL))
            return cls(today - timedelta(days=days - 1), today, zone, days)
        first = _date(asked.get("from") or str(EARLIEST))
        last = _date(asked.get("to") or str(today))
        if not 0 <= (last - first).days < LONGEST:
            raise InvalidRequest(
                f"From {first} to {last} was asked for, expected 1 to {LONGEST} days."
            )
        return cls(first, last, zone)

    @property
    def since(self) -> datetime:
        """The instant at which it begins."""
        return datetime.combine(self.first, time(), self.zone)

    @property
    def until(self) -> datetime:
        """The instant at which it has ended."""
        return datetime.combine(self.last + timedelta(days=1), time(), self.zone)

    @property
    def ends(self) -> dict[str, str]:
        """Its ends, as a list of cases is asked for what was finished in it."""
        ends = (("finished_from", self.since), ("finished_to", self.until))
        return {name: at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M") for name, at in ends}

    def ends_of(self, day: date) -> dict[str, str]:
        """The ends of one of its days, likewise."""
        return replace(self, first=day, last=day).ends

    @property
    def days(self) -> list[date]:
        """Every day of it."""
        return [
            self.first + timedelta(days=number)
            for number in range((self.last - self.first).days + 1)
        ]


def _number(text: str) -> int:
    if text not in map(str, CHOICES):
        raise InvalidRequest(
            f"{text[:20]!r} days were asked for, expected {', '.join(map(str, CHOICES))}."
        )
    return int(text)


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(f"{text[:20]!r} is no date, expected one as 2026-03-31.") from error
    if not EARLIEST <= found < date(EARLIEST.year + 200, 1, 1):
        raise InvalidRequest(f"{found} was asked for, expected {EARLIEST} or later.")
    return found
