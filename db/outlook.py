# SPDX-License-Identifier: Apache-2.0
"""What a client is told of its wait: how many jobs are served before its own, and when it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from db.pauses import is_paused
from db.tables import JobRow, now
from db.workers import count_live
from hilum.jobs import State

RECENT_JOBS: Final = 20
"""Jobs whose speed tells how fast the next will be."""

NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""When a hospital was served that has not been: longest ago."""


# ── Questions; put together once, for they are asked with every submission ────────────────────


def recent_speed(pipeline: ColumnElement[str], network: ColumnElement[str]) -> Select[float]:
    """Return the question for the speed of the last jobs of a pipeline and network."""
    taken_s = func.extract("epoch", JobRow.finished_at - JobRow.started_at)
    recent = (
        select(taken_s.label("taken_s"), JobRow.slice_count)
        .where(
            JobRow.state == State.SUCCEEDED,
            JobRow.pipeline == pipeline,
            JobRow.network == network,
            JobRow.slice_count > 0,
        )
        .order_by(JobRow.finished_at.desc())
        .limit(RECENT_JOBS)
        .subquery()
    )
    return select(func.sum(recent.c.taken_s) / func.sum(recent.c.slice_count))


def _under_way() -> Select[float, int]:
    left = func.sum((1.0 - JobRow.fraction) * JobRow.slice_count)
    busy = func.count(JobRow.worker.distinct())
    return select(func.coalesce(left, 0.0), busy).where(JobRow.state == State.RUNNING)


def _before() -> Select[Any]:
    place = func.row_number().over(
        partition_by=(JobRow.tenant_id, JobRow.priority_rank),
        order_by=(JobRow.queued_at, JobRow.id),
    )
    lines = (
        select(JobRow.id, place.label("place"))
        .where(
            JobRow.state == State.QUEUED,
            JobRow.tenant_id.in_(bindparam("tenants", expanding=True)),
            JobRow.priority_rank.in_(bindparam("ranks", expanding=True)),
            JobRow.queued_at <= bindparam("until"),
        )
        .subquery()
    )
    of_jobs = lines.c.id.in_(bindparam("ids", expanding=True))
    return select(lines.c.id, lines.c.place - 1).where(of_jobs)


def _groups() -> Select[Any]:
    # Read from the index alone.
    groups = (
        select(
            JobRow.tenant_id,
            JobRow.priority_rank,
            func.count().label("jobs"),
            func.sum(JobRow.slice_count).label("slices"),
            func.min(JobRow.queued_at).label("since"),
        )
        .where(JobRow.state == State.QUEUED, JobRow.priority_rank <= bindparam("rank"))
        .group_by(JobRow.tenant_id, JobRow.priority_rank)
        .subquery()
    )
    other = aliased(JobRow)
    served_at = select(func.max(other.started_at)).where(other.tenant_id == groups.c.tenant_id)
    return select(
        groups.c.tenant_id,
        groups.c.priority_rank,
        groups.c.jobs,
        groups.c.slices,
        served_at.scalar_subquery(),
        groups.c.since,
        is_paused(groups.c.tenant_id),
    )


SPEED: Final = recent_speed(bindparam("pipeline", type_=String), bindparam("network", type_=String))
"""Seconds per slice of the last jobs of a pipeline and network."""

UNDER_WAY: Final = _under_way()
"""Slices that running jobs still have to do, and how many workers run them."""

BEFORE: Final = _before()
"""How many of its hospital and urgency wait before each of some jobs."""

GROUPS: Final = _groups()
"""What waits, at an urgency and at those before it."""


# ── Answers ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Outlook:
    """What lies before a job.

    Attributes:
        place: jobs served before it; None when it does not wait.
        eta_s: seconds until it is done; None when it has ended or nothing is known yet.
    """

    place: int | None
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one hospital has waiting at one urgency.

    Attributes:
        tenant_id: the hospital.
        rank: of the urgency, 0 first.
        jobs, slices: how many.
        served_at: when a job of the hospital was last begun.
        since: when the first of them began to wait.
        paused: whether a person has paused them.
    """

    tenant_id: UUID
    rank: int
    jobs: int
    slices: int
    served_at: datetime | None
    since: datetime
    paused: bool

    @property
    def order(self) -> tuple[datetime, datetime]:
        """By which hospitals take turns."""
        return (self.served_at or NEVER, self.since)


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at the queue found, for the outlook of several jobs at a moment.

    Attributes:
        speeds: seconds per slice by pipeline and network; None where nothing is known yet.
        before: of each job that waits, how many of its hospital and urgency do so before it.
        groups: what waits, by hospital and urgency.
        begun_slices: what running jobs still have to do.
        workers: who share the queue.
    """

    speeds: dict[tuple[str, str], float | None]
    before: dict[UUID, int]
    groups: list[Waiting]
    begun_slices: float
    workers: int

    def covers(self, job: JobRow) -> bool:
        """Tell whether it was made with this job in mind, as the job is now."""
        is_known = (job.pipeline, job.network) in self.speeds
        return job.is_final or (is_known and (job.state is State.RUNNING or job.id in self.before))

    def outlook(self, job: JobRow) -> Outlook:
        """Tell what lies before a job, by the order of `db/turns.py` and the speed of recent jobs.

        The turns of those who waited longest are left out: they move a place by one in four at most.
        """
        if job.is_final:
            return Outlook(None, None)
        speed = self.speeds[job.pipeline, job.network]
        own_slices = (1.0 - job.fraction) * job.slice_count
        if job.state is State.RUNNING:
            return Outlook(None, None if speed is None else own_slices * speed)
        place, slices = _ahead(self.groups, job, self.before[job.id])
        is_paused_now = any(one.paused for one in self.groups if _is_own(one, job))
        if speed is None or not self.workers or is_paused_now:
            return Outlook(place, None)
        queue_s = speed * (slices + self.begun_slices) / self.workers
        return Outlook(place, max(queue_s, _pause_s(job)) + speed * own_slices)


def look_ahead(session: Session, job: JobRow) -> Outlook:
    """Tell what lies before one job."""
    return survey(session, [job]).outlook(job)


def survey(session: Session, jobs: Sequence[JobRow]) -> Survey:
    """Look at all that decides when these jobs are done; how many they are plays little part."""
    live = [job for job in jobs if not job.is_final]
    waiting = [job for job in live if job.state is State.QUEUED]
    kinds = {(job.pipeline, job.network) for job in live}
    speeds = {kind: seconds_per_slice(session, *kind) for kind in kinds}
    if not waiting:
        return Survey(speeds, {}, [], 0.0, 0)
    rank = max(job.priority_rank for job in waiting)
    begun_slices, busy = session.execute(UNDER_WAY).one()
    return Survey(
        speeds=speeds,
        before=_before_in_hospital(session, waiting),
        groups=[Waiting(*row) for row in session.execute(GROUPS, {"rank": rank})],
        begun_slices=float(begun_slices),
        workers=max(busy, count_live(session)),
    )


def seconds_per_slice(session: Session, pipeline: str, network: str) -> float | None:
    """Return the speed of recent jobs of a kind, in seconds of a whole job over its slices."""
    speed = session.scalar(SPEED, {"pipeline": pipeline, "network": network})
    return None if speed is None else float(speed)


def _pause_s(job: JobRow) -> float:
    """Return for how many seconds nobody takes a job that waits before another attempt."""
    return 0.0 if job.retry_at is None else (job.retry_at - now()).total_seconds()


def _ahead(groups: list[Waiting], job: JobRow, before: int) -> tuple[int, float]:
    """Return how many jobs are served before one that waits, and about how many slices they have."""
    own = next((one for one in groups if _is_own(one, job)), None)
    if own is None:
        # It was taken a moment ago.
        return 0, 0.0
    jobs, slices = 0, 0.0
    for group in groups:
        count = _served_before(group, own, before)
        jobs += count
        slices += group.slices * count / group.jobs
    return jobs, slices


def _served_before(group: Waiting, own: Waiting, before: int) -> int:
    if group.paused and not own.paused:
        return 0
    if group.rank != own.rank:
        return group.jobs if group.rank < own.rank else 0
    if group.tenant_id == own.tenant_id:
        return before
    # Hospitals take turns; who was served longer ago has one more of them by then.
    return min(group.jobs, before + (group.order < own.order))


def _is_own(group: Waiting, job: JobRow) -> bool:
    return (group.tenant_id, group.rank) == (job.tenant_id, job.priority_rank)


def _before_in_hospital(session: Session, jobs: Sequence[JobRow]) -> dict[UUID, int]:
    asked = {
        "tenants": list({job.tenant_id for job in jobs}),
        "ranks": list({job.priority_rank for job in jobs}),
        "until": max(job.queued_at for job in jobs),
        "ids": [job.id for job in jobs],
    }
    found: dict[UUID, int] = dict(session.execute(BEFORE, asked).all())
    # One that was taken a moment ago stands in no line.
    return {job.id: found.get(job.id, 0) for job in jobs}
