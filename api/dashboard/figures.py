# SPDX-License-Identifier: Apache-2.0
"""What the page of figures is made of: what the database says, and panels for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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


@dataclass(frozen=True)
class Figures:
    """What the database says of a period: each figure is asked for when it is first shown.

    Attributes:
        session: one transaction.
        asked: which cases.
        period: the days.
    """

    session: Session
    asked: Asked
    period: Period

    @cached_property
    def thresholds(self) -> Thresholds:
        """Those that new reports are graded by."""
        return current_thresholds(self.session)

    @cached_property
    def cases(self) -> list[DayCount]:
        """Reports by day and verdict."""
        return cases_by_day(self.session, self.asked, zone=self.period.zone)

    @cached_property
    def shares(self) -> list[Bar]:
        """Reports by lesion share."""
        return lesion_shares(self.session, self.asked, self.thresholds)

    @cached_property
    def speeds(self) -> list[Speed]:
        """Seconds a slice of each network and worker."""
        return speeds(self.session, self.asked)

    @cached_property
    def waits(self) -> list[Wait]:
        """Waiting times by urgency."""
        return waits(self.session, self.asked)

    @cached_property
    def failures(self) -> list[Failure]:
        """Jobs by the reason why they ended without a report."""
        return failures(self.session, self.asked)

    @cached_property
    def agreements(self) -> list[Agreement]:
        """How far readers agree, in all and with each network."""
        return agreements(self.session, self.asked)
