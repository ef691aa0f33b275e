# SPDX-License-Identifier: Apache-2.0
"""What the page of figures is made of: what the database says, and panels for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from sqlalchemy.orm import Session

from api.dashboard.period import Period
from db.agreement import Agreement, agreements
from db.insights import (
    Asked,
    Bar,
    DayCount,
    Failure,
    Speed,
    Wait,
    cases_by_day,
    failures,
    lesion_shares,
    speeds,
    waits,
)
from db.thresholds import current_thresholds
from hilum.grading import Thresholds


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: with its unit.
        form: how a number is written, as `format` has it; empty for text.
    """

    name: str
    form: str = ""

    def show(self, value: Any) -> str:
        """Return a value as it stands in the table."""
        if value is None:
            return ""
        # A space before the sign, as everywhere.
        return format(value, self.form).replace("%", " %") if self.form else str(value)


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of the page.

    Attributes:
        name: in addresses.
        title: what it shows, with its unit.
        n: how many it rests on, and what they are.
        summary: the figure as a sentence.
        columns, rows: the table; each row has a value for each column.
        chart: what `charts.js` draws; None where the table says it better.
        notes: sentences beneath.
        cases: of cells, by row and column from 0, the list of cases that they count: its fields beside
            those that hold for the whole page.
    """

    name: str
    title: str
    n: str
    summary: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    chart: Mapping[str, Any] | None = None
    notes: Sequence[str] = ()
    cases: Mapping[tuple[int, int], Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the database says of a period.

    Attributes:
        period: the days.
        thresholds: those that new reports are graded by.
        cases, speeds, waits, failures, shares, agreements: as their functions in `db/` return them.
    """

    period: Period
    thresholds: Thresholds
    cases: list[DayCount]
    speeds: list[Speed]
    waits: list[Wait]
    failures: list[Failure]
    shares: list[Bar]
    agreements: list[Agreement]

    @classmethod
    def read(cls, session: Session, asked: Asked, period: Period) -> Self:
        """Ask for all of them, each by one statement."""
        thresholds = current_thresholds(session)
        return cls(
            period,
            thresholds,
            cases_by_day(session, asked, zone=period.zone.key),
            speeds(session, asked),
            waits(session, asked),
            failures(session, asked),
            lesion_shares(session, asked, thresholds),
            agreements(session, asked),
        )
