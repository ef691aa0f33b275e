# SPDX-License-Identifier: Apache-2.0
"""What a client is told of its wait: how many jobs are served before its own, and when it is done."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session, aliased

from db.tables import JobRow
from db.workers import count_live
from hilum.jobs import State

RECENT_JOBS: Final = 20
"""Jobs whose speed tells how fast the next will be."""

NEVER: Final = datetime.min.replace(tzinfo=UTC)
"""When a hospital was served that has not been: longest ago."""


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
    """

    tenant_id: UUID
    rank: int
    jobs: int
    slices: int
    served_at: datetime | None
    since: datetime

    @property
    def order(self) -> tuple[datetime, datetime]:
        """By which hospitals take turns."""
        return (self.served_at or NEVER, self.since)


def look_ahead(session: Session, job: JobRow) -> Outlook:
    """Tell what lies before a job, by the order of `db/turns.py` and the speed of recent jobs.

    The turns of those who waited longest are left out: they move a place by one in four at most.
    """
    if job.is_final:
        return Outlook(None, None)
    speed = seconds_per_slice(session, job.pipeline, job.network)
    own_slices = (1.0 - job.fraction) * job.slice_count
    if job.state is State.RUNNING:
        return Outlook(None, None if speed is None else own_slices * speed)
    place, slices = _ahead(session, job)
    if speed is None:
        return Outlook(place, None)
    begun_slices, workers = _under_way(session)
    return Outlook(place, speed * ((slices + begun_slices) / max(workers, 1) + own_slices))


def seconds_per_slice(session: Session, pipeline: str, network: str) -> float | None:
    """Return the speed of recent jobs of a kind, in seconds of a whole job over its slices."""
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
    speed = session.scalar(select(func.sum(recent.c.taken_s) / func.sum(recent.c.slice_count)))
    return None if speed is None else float(speed)


def _under_way(session: Session) -> tuple[float, int]:
    """Return the slices that running jobs still have to do, and how many workers there are."""
    running = select(
        func.coalesce(func.sum((1.0 - JobRow.fraction) * JobRow.slice_count), 0.0),
        func.count(JobRow.worker.distinct()),
    ).where(JobRow.state == State.RUNNING)
    slices, busy = session.execute(running).one()
    return float(slices), max(busy, count_live(session))


def _ahead(session: Session, job: JobRow) -> tuple[int, float]:
    """Return how many jobs are served before one that waits, and about how many slices they have."""
    groups = _waiting(session, job.priority_rank)
    own = next((one for one in groups if _is_own(one, job)), None)
    if own is None:
        # It was taken a moment ago.
        return 0, 0.0
    before = _before_in_hospital(session, job)
    jobs, slices = 0, 0.0
    for group in groups:
        count = _served_before(group, own, before)
        jobs += count
        slices += group.slices * count / group.jobs
    return jobs, slices


def _served_before(group: Waiting, own: Waiting, before: int) -> int:
    if group.rank < own.rank:
        return group.jobs
    if group.tenant_id == own.tenant_id:
        return before
    # Hospitals take turns; who was served longer ago has one more of them by then.
    return min(group.jobs, before + (group.order < own.order))


def _is_own(group: Waiting, job: JobRow) -> bool:
    return (group.tenant_id, group.rank) == (job.tenant_id, job.priority_rank)


def _before_in_hospital(session: Session, job: JobRow) -> int:
    query = select(func.count()).where(
        JobRow.state == State.QUEUED,
        JobRow.tenant_id == job.tenant_id,
        JobRow.priority_rank == job.priority_rank,
        tuple_(JobRow.queued_at, JobRow.id) < (job.queued_at, job.id),
    )
    return session.scalars(query).one()


def _waiting(session: Session, rank: int) -> list[Waiting]:
    """Return what waits at an urgency and at those before it; read from the index alone."""
    groups = (
        select(
            JobRow.tenant_id,
            JobRow.priority_rank,
            func.count().label("jobs"),
            func.sum(JobRow.slice_count).label("slices"),
            func.min(JobRow.queued_at).label("since"),
        )
        .where(JobRow.state == State.QUEUED, JobRow.priority_rank <= rank)
        .group_by(JobRow.tenant_id, JobRow.priority_rank)
        .subquery()
    )
    other = aliased(JobRow)
    served_at = select(func.max(other.started_at)).where(other.tenant_id == groups.c.tenant_id)
    columns = (
        groups.c.tenant_id,
        groups.c.priority_rank,
        groups.c.jobs,
        groups.c.slices,
        served_at.scalar_subquery(),
        groups.c.since,
    )
    return [Waiting(*row) for row in session.execute(select(*columns))]
