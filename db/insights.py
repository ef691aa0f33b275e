# SPDX-License-Identifier: Apache-2.0
"""The figures of many cases: how many, how fast, how long they waited, why they failed.

Each is exact, and one statement over a covering index of its own time: reports by when they were
written, waits by when they ended, failures by when they happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, ColumnElement, DateTime, Double, cast, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.pages import SortColumn, version_of
from db.scope import Scope
from db.tables import JobRow, ReportRow
from hilum.grading import Thresholds, Verdict
from hilum.jobs import Priority, State

SHARE_STEP: Final = 0.05
"""Width of a bar of the lesion share, 0..1; the cuts of the grades are multiples of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cases are counted.

    Attributes:
        scope: of these hospitals.
        since, until: at or after, and before.
        pipeline: by this one; None counts all.
        network: by this one, as `name@version`, or every version of a `name`; None counts all.
    """

    scope: Scope
    since: datetime
    until: datetime
    pipeline: str | None = None
    network: str | None = None

    def of(
        self,
        table: Any,
        at: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    ) -> list[ColumnElement[bool]]:
        """Return the conditions on a table whose rows belong to an instant."""
        conditions = [self.scope.holds(table.tenant_id), at >= self.since, at < self.until]
        if self.pipeline is not None:
            conditions.append(table.pipeline == self.pipeline)
        if self.network is not None:
            conditions.append(version_of(table.network)(self.network))
        return conditions


@dataclass(frozen=True, slots=True)
class DayCount:
    """Reports of one verdict that were written on one day."""

    day: date
    verdict: Verdict
    n: int


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a network was.

    Attributes:
        network: as `name@version`.
        worker, device: the host and what it computed on, empty of reports from before that was
            kept; None for all of them together.
        n: reports.
        median_s, p90_s: seconds of the whole run over the number of slices.
    """

    network: str
    worker: str | None
    device: str | None
    n: int
    median_s: float
    p90_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """How long jobs of one urgency waited.

    Attributes:
        priority: how urgent they were.
        n: jobs that were begun.
        median_s, p90_s, p99_s: from when they were queued to their last start, so that one that was
            tried again waited through its earlier attempts, too.
    """

    priority: Priority
    n: int
    median_s: float
    p90_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Jobs that ended for one reason."""

    code: str
    n: int


@dataclass(frozen=True, slots=True)
class Bar:
    """Reports whose lesion share of lung, 0..1, is at least `low` and less than `high`.

    The last bar holds its `high`, too.
    """

    low: float
    high: float
    n: int


def cases_by_day(session: Session, asked: Asked, *, zone: ZoneInfo) -> list[DayCount]:
    """Return how many reports of each verdict were written on each day, the first day first.

    Args:
        session: one transaction.
        asked: which.
        zone: whose midnight ends a day.
    """
    days = _days(asked, zone)
    # Looked up among its midnights, a day costs a third of what it costs to turn each instant into
    # one; sorted here, so that the database counts as it reads.
    midnights = [datetime.combine(day, time(), zone) for day in days]
    place = func.width_bucket(ReportRow.created_at, cast(midnights, ARRAY(DateTime(timezone=True))))
    query = (
        select(place, ReportRow.verdict, func.count())
        .where(*asked.of(ReportRow, ReportRow.created_at))
        .group_by(place, ReportRow.verdict)
    )
    # As plain tuples, which compare several times as fast as rows.
    found = sorted(map(tuple, session.execute(query)))
    return [DayCount(days[number - 1], Verdict(verdict), n) for number, verdict, n in found]


def _days(asked: Asked, zone: ZoneInfo) -> list[date]:
    first, last = (at.astimezone(zone).date() for at in (asked.since, asked.until))
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def speeds(session: Session, asked: Asked) -> list[Speed]:
    """Return how fast each network was: all together, then on each worker."""
    network, worker, device = ReportRow.network, ReportRow.worker, ReportRow.device
    together: ColumnElement[int] = func.grouping(worker)
    seconds = _percentiles((0.5, 0.9), ReportRow.seconds_per_slice)
    query = (
        select(network, together.label("together"), worker, device, func.count(), seconds)
        .where(*asked.of(ReportRow, ReportRow.created_at))
        .group_by(func.grouping_sets(tuple_(network), tuple_(network, worker, device)))
        .order_by(network, together.desc(), worker, device)
    )
    return [
        Speed(name, None, None, n, *at) if is_all else Speed(name, host or "", on or "", n, *at)
        for name, is_all, host, on, n, at in session.execute(query)
    ]


def waits(session: Session, asked: Asked) -> list[Wait]:
    """Return how long jobs of each urgency waited, the most urgent first."""
    # EXTRACT would count in decimals, which takes longer than the sorting.
    waited_s = func.date_part("epoch", JobRow.started_at - JobRow.queued_at)
    query = (
        select(JobRow.priority, func.count(), _percentiles((0.5, 0.9, 0.99), waited_s))
        # A person's retry is queued anew and has not been begun since.
        .where(*asked.of(JobRow, JobRow.started_at), JobRow.started_at >= JobRow.queued_at)
        .group_by(JobRow.priority)
    )
    found = [Wait(priority, n, *seconds) for priority, n, seconds in session.execute(query)]
    return sorted(found, key=lambda wait: list(Priority).index(wait.priority))


def failures(session: Session, asked: Asked) -> list[Failure]:
    """Return why jobs ended without a report, the most frequent reason first."""
    query = (
        select(JobRow.error_code, func.count().label("n"))
        .where(*asked.of(JobRow, JobRow.finished_at))
        .where(JobRow.state.in_((State.FAILED, State.QUARANTINED)))
        .group_by(JobRow.error_code)
        .order_by(func.count().desc(), JobRow.error_code)
    )
    return [Failure(code or "", n) for code, n in session.execute(query)]


def lesion_shares(session: Session, asked: Asked, thresholds: Thresholds) -> list[Bar]:
    """Return how many reports have how much lesion, every bar in order, empty ones too."""
    edges = share_edges(thresholds)
    bucket = func.width_bucket(ReportRow.lesion_share, cast(edges[:-1], ARRAY(Double)))
    query = (
        select(bucket, func.count())
        .where(*asked.of(ReportRow, ReportRow.created_at))
        .group_by(bucket)
    )
    found: dict[int, int] = dict(session.execute(query).all())
    return [
        Bar(low, high, found.get(number, 0))
        for number, (low, high) in enumerate(pairwise(edges), start=1)
    ]


def share_edges(thresholds: Thresholds) -> list[float]:
    """Return where the bars of the lesion share begin and end, 0..1: every cut is among them."""
    steps = {round(step * SHARE_STEP, 2) for step in range(round(1 / SHARE_STEP) + 1)}
    return sorted(steps | {thresholds.finding_from, *thresholds.bins})


def _percentiles(shares: Sequence[float], of: SortColumn) -> ColumnElement[Any]:
    at = func.percentile_cont(cast(list(shares), ARRAY(Double)))
    return at.within_group(cast(of, Double))
