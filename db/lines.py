# SPDX-License-Identifier: Apache-2.0
"""The queue hospital by hospital: what waits at each urgency, until when, and what runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Select,
    SmallInteger,
    String,
    TableValuedAlias,
    Uuid,
    bindparam,
    column,
    func,
    select,
    true,
)
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.types import TypeEngine

from db.outlook import GROUPS, UNDER_WAY, Survey, Waiting, recent_speed
from db.scope import Scope
from db.tables import JobRow, TenantRow, now
from db.workers import count_live
from hilum.jobs import Priority, State

PRIORITIES: Final = tuple(Priority)

MOST_RUNNING: Final = 100
"""Jobs that run and are listed; more GPUs than that have no page of their own yet."""


# ── Questions ─────────────────────────────────────────────────────────────────────────────────


def _last_of_each() -> Select[JobRow]:
    # One look at the end of an index for each: how much waits plays no part.
    lines = _unnest("lines", tenants=Uuid(), ranks=SmallInteger())
    last = (
        select(JobRow.id)
        .where(
            JobRow.state == State.QUEUED,
            JobRow.tenant_id == lines.c.tenants,
            JobRow.priority_rank == lines.c.ranks,
        )
        .order_by(JobRow.queued_at.desc(), JobRow.id.desc())
        .limit(1)
        .lateral("last")
    )
    ids = select(last.c.id).select_from(lines).join(last, true())
    return select(JobRow).where(JobRow.id.in_(ids))


def _speed_of_each() -> Select[str, str, float]:
    kinds = _unnest("kinds", pipelines=String(), networks=String())
    speed = recent_speed(kinds.c.pipelines, kinds.c.networks).scalar_subquery()
    return select(kinds.c.pipelines, kinds.c.networks, speed)


def _unnest(name: str, **columns: TypeEngine[Any]) -> TableValuedAlias:
    """Return lists of equal length as a table, one a column, bound by their names."""
    lists = (bindparam(key, type_=ARRAY(kind)) for key, kind in columns.items())
    typed = (column(key, kind) for key, kind in columns.items())
    return func.unnest(*lists).table_valued(*typed, name=name).render_derived()


LAST: Final = _last_of_each()
"""The job that is served last of each line."""

SPEEDS: Final = _speed_of_each()
"""Seconds per slice of the last jobs of several pipelines and networks."""


# ── Answers ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Line:
    """What one hospital has waiting at one urgency.

    Attributes:
        tenant_id, tenant: the hospital.
        priority: the urgency.
        jobs, slices: how many.
        oldest_s: since the first of them began to wait.
        paused: whether a person has paused them.
        empty_s: until the last of them is done; None where nobody knows.
    """

    tenant_id: UUID
    tenant: str
    priority: Priority
    jobs: int
    slices: int
    oldest_s: float
    paused: bool
    empty_s: float | None


def waiting_lines(session: Session, scope: Scope) -> list[Line]:
    """Return what waits, the most urgent first, then by hospital.

    When a line is empty depends on all of them, so all are looked at and those of the scope told.
    """
    groups = [Waiting(*row) for row in session.execute(GROUPS, {"rank": len(PRIORITIES) - 1})]
    own = [group for group in groups if group.tenant_id in scope]
    names = _names(session, {group.tenant_id for group in own})
    ends = _ends(session, groups, own)
    lines = [_line(group, names, ends) for group in own]
    return sorted(lines, key=lambda line: (PRIORITIES.index(line.priority), line.tenant))


def until_empty_s(lines: Sequence[Line]) -> float | None:
    """Return how long it takes until nothing waits but what is paused; None where nobody knows."""
    ends = [line.empty_s for line in lines if not line.paused]
    known = [end for end in ends if end is not None]
    return max(known, default=0.0) if len(known) == len(ends) else None


def running_jobs(session: Session, scope: Scope) -> list[JobRow]:
    """Return what runs with its study, the longest first."""
    query = (
        select(JobRow)
        .where(JobRow.state == State.RUNNING, scope.holds(JobRow.tenant_id))
        .order_by(JobRow.started_at, JobRow.id)
        .limit(MOST_RUNNING)
        .options(joinedload(JobRow.study))
    )
    return list(session.scalars(query))


def _line(group: Waiting, names: dict[UUID, str], ends: dict[tuple[UUID, int], float]) -> Line:
    return Line(
        tenant_id=group.tenant_id,
        # One that was added a moment ago has no name here yet.
        tenant=names.get(group.tenant_id, ""),
        priority=PRIORITIES[group.rank],
        jobs=group.jobs,
        slices=int(group.slices),
        oldest_s=(now() - group.since).total_seconds(),
        paused=group.paused,
        empty_s=ends.get((group.tenant_id, group.rank)),
    )


def _names(session: Session, tenant_ids: set[UUID]) -> dict[UUID, str]:
    named = select(TenantRow.id, TenantRow.name).where(TenantRow.id.in_(tenant_ids))
    return dict(session.execute(named).all())


def _ends(
    session: Session, groups: list[Waiting], own: list[Waiting]
) -> dict[tuple[UUID, int], float]:
    """Return when the last job of each line is done, where that can be known."""
    lines = {"tenants": [one.tenant_id for one in own], "ranks": [one.rank for one in own]}
    last = session.scalars(LAST, lines).all()
    begun_slices, busy = session.execute(UNDER_WAY).one()
    sizes = {(group.tenant_id, group.rank): group.jobs for group in own}
    look = Survey(
        speeds=_speeds(session, {(job.pipeline, job.network) for job in last}),
        before={job.id: sizes[job.tenant_id, job.priority_rank] - 1 for job in last},
        groups=groups,
        begun_slices=float(begun_slices),
        workers=max(busy, count_live(session)),
    )
    found = {(job.tenant_id, job.priority_rank): look.outlook(job).eta_s for job in last}
    return {line: end for line, end in found.items() if end is not None}


def _speeds(
    session: Session, kinds: Collection[tuple[str, str]]
) -> dict[tuple[str, str], float | None]:
    pipelines, networks = [one[0] for one in kinds], [one[1] for one in kinds]
    found = session.execute(SPEEDS, {"pipelines": pipelines, "networks": networks})
    return {
        (pipeline, network): None if speed is None else float(speed)
        for pipeline, network, speed in found
    }
