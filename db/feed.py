# SPDX-License-Identifier: Apache-2.0
"""What happens to jobs, for those who follow it: every event once, in the order of their ids.

An event gets its id before its transaction commits, so a lower id may come to light after a higher
one. A reader that went by the highest id would lose it. Whoever writes an event holds a lock on
the table from before the id is given until after the commit can be seen: a gap among the ids is
waited for as long as anyone is left who held that lock when the gap was seen, and no longer, since
a transaction that was rolled back leaves a gap for ever. Thus a client that was told an id has been
told every event before it, and may go on from there at any server.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import Select, case, func, or_, select, text
from sqlalchemy.orm import Session, joinedload

from db.tables import JobEventRow, JobRow
from hilum.jobs import State

AT_ONCE: Final = 500
"""Events read by one query."""

LOOK_BACK: Final = 10_000
"""How many ids before the newest may belong to a transaction that is under way: ten large batches."""

WRITERS: Final = text(
    "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND granted"
    " AND relation = 'job_events'::regclass AND mode = 'RowExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""Transactions that have written an event, or are about to, and have not ended."""

Gap = tuple[int, int]
"""The ids on either side of one or more that are not there."""

Writers = frozenset[str]

NOBODY: Final[Writers] = frozenset()


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of a job.

    Attributes:
        id: grows with every event of the installation.
        tenant_id: whose job.
        job_id: which.
        at: when.
        event: what happened.
        detail: more about it.
    """

    id: int
    tenant_id: UUID
    job_id: UUID
    at: datetime
    event: str
    detail: dict[str, Any]


@dataclass(slots=True)
class Feed:
    """One reader's way through the events of every hospital.

    Attributes:
        position: every event up to this id was read, or will never be.
    """

    position: int
    _gaps: dict[Gap, Writers | None] = field(default_factory=dict)

    @classmethod
    def begin(cls, session: Session) -> Self:
        """Return a feed of what happens from now on, perhaps with a few events before it."""
        newest, first_gap = session.execute(_ends()).one()
        # Asked after the ids: who has let go by now committed before this feed began.
        if newest is None or first_gap is None or not _writers(session):
            return cls(newest or 0)
        return cls(first_gap)

    def read(self, session: Session) -> list[Happening]:
        """Return the events that have come to light since, up to the first that may yet come."""
        if self._gaps:
            # Asked before the events: what those have written who are gone by now is seen below.
            writers = _writers(session)
            self._gaps = {
                gap: writers if held is None else held & writers for gap, held in self._gaps.items()
            }
        query = _happenings().where(JobEventRow.id > self.position)
        found = [Happening(*row) for row in session.execute(query.limit(AT_ONCE))]
        return list(self._settled(found))

    def _settled(self, found: list[Happening]) -> Iterable[Happening]:
        ids = [self.position, *(one.id for one in found)]
        known = self._gaps
        # A gap is looked into from the second time it is seen; of the first, nothing is known yet.
        self._gaps = {gap: known.get(gap) for gap in pairwise(ids) if gap[1] > gap[0] + 1}
        for one in found:
            if self._gaps.get((self.position, one.id), NOBODY) != NOBODY:
                return
            self.position = one.id
            yield one


def happenings_between(
    session: Session, tenant_id: UUID, after: int, up_to: int
) -> list[Happening]:
    """Return a tenant's first events after one id and up to another, `AT_ONCE` at most."""
    query = _happenings().where(
        JobRow.tenant_id == tenant_id, JobEventRow.id > after, JobEventRow.id <= up_to
    )
    return [Happening(*row) for row in session.execute(query.limit(AT_ONCE))]


def watched_jobs(
    session: Session, job_ids: Iterable[UUID], running_of: Iterable[UUID]
) -> list[JobRow]:
    """Return jobs by their ids, and those of some tenants that run, with their studies."""
    is_running = (JobRow.state == State.RUNNING) & JobRow.tenant_id.in_(list(running_of))
    query = select(JobRow).where(or_(JobRow.id.in_(list(job_ids)), is_running))
    return list(session.scalars(query.options(joinedload(JobRow.study))))


def _ends() -> Select[Any]:
    """Ask for the newest id, and for the last one before the first gap among the newest."""
    newest = select(JobEventRow.id).order_by(JobEventRow.id.desc()).limit(LOOK_BACK).subquery()
    before = func.lag(newest.c.id).over(order_by=newest.c.id)
    pairs = select(newest.c.id, before.label("before")).subquery()
    gap = case((pairs.c.id > pairs.c.before + 1, pairs.c.before))
    return select(func.max(pairs.c.id), func.min(gap))


def _happenings() -> Select[Any]:
    return (
        select(
            JobEventRow.id,
            JobRow.tenant_id,
            JobEventRow.job_id,
            JobEventRow.at,
            JobEventRow.event,
            JobEventRow.detail,
        )
        .join(JobRow, JobRow.id == JobEventRow.job_id)
        .order_by(JobEventRow.id)
    )


def _writers(session: Session) -> Writers:
    return frozenset(session.scalars(WRITERS))
