# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: the order in which waiting jobs are served, and how many wait before one.

The more urgent job goes first; among jobs of one urgency hospitals take turns, the one served
longest ago first; within a hospital it is first come, first served. Two rules hold that in check:
every few turns belong to whoever has waited longest, so that nothing starves, and of several
workers a share takes nothing but urgent jobs, so that one is soon free for them.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import (
    Float,
    Select,
    SmallInteger,
    and_,
    bindparam,
    case,
    cast,
    column,
    exists,
    func,
    or_,
    select,
    true,
    values,
)
from sqlalchemy.dialects.postgresql import REGCLASS
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.selectable import LateralFromClause

from db.claims import Claim, claim_job
from db.clock import from_now
from db.drains import is_drained
from db.pauses import all_paused, is_paused
from db.tables import JobRow, TenantRow, WorkerRow
from db.tables.jobs import TURNS
from db.workers import count_live
from hilum.jobs import Priority, State
from hilum.workers import WorkerState

AGED_TURN: Final = 4
"""Of so many turns one goes to the job that has waited longest, once that is long enough."""

LOCK: Final = 0x68696C75
"""Number of the advisory lock under which turns are taken, one after the other."""

IDLE_MS: Final = 10_000
"""A worker that says nothing for so long in the middle of its turn loses it."""

TRIES: Final = 3
"""A job whose turn it is may be cancelled at that moment; that happens once, not again and again."""

IS_DUE: Final = and_(
    JobRow.state == State.QUEUED,
    or_(JobRow.retry_at.is_(None), JobRow.retry_at <= func.now()),
)
"""A job that may be taken now."""

URGENCIES: Final = values(column("rank", SmallInteger), name="urgencies").data(
    [(rank,) for rank in range(len(Priority))]
)


def _first_of_each() -> LateralFromClause:
    """Return the job whose turn it would be, of a hospital and an urgency beside it in a query."""
    # By the index: the length of the queue plays no part.
    return (
        select(
            JobRow.id,
            JobRow.priority_rank,
            JobRow.queued_at,
            # One that was tried before did not wait while it ran.
            func.coalesce(JobRow.retry_at, JobRow.queued_at).label("due_at"),
        )
        .where(
            IS_DUE,
            JobRow.tenant_id == TenantRow.id,
            JobRow.priority_rank == URGENCIES.c.rank,
        )
        .order_by(JobRow.queued_at, JobRow.id)
        .limit(1)
        .lateral("first")
    )


def _next(*, is_aged: bool, urgent_alone: bool) -> Select[UUID]:
    first = _first_of_each()
    own = aliased(JobRow)
    served_at = (
        select(func.max(own.started_at)).where(own.tenant_id == TenantRow.id).scalar_subquery()
    )
    order = [
        first.c.priority_rank,
        served_at.asc().nulls_first(),
        first.c.queued_at,
        first.c.id,
    ]
    urgencies = URGENCIES.c.rank == 0 if urgent_alone else true()
    if is_aged:
        since = from_now(-bindparam("ageing_s", type_=Float))
        has_aged = and_(first.c.priority_rank > 0, first.c.queued_at < since)
        order.insert(0, case((has_aged, first.c.queued_at)).asc().nulls_last())
    return (
        select(first.c.id)
        .select_from(TenantRow)
        .join(URGENCIES, urgencies)
        .join(first, true())
        .where(~is_paused(TenantRow.id))
        .order_by(*order)
        .limit(1)
    )


NEXT: Final = {
    (is_aged, urgent_alone): _next(is_aged=is_aged, urgent_alone=urgent_alone)
    for is_aged in (False, True)
    for urgent_alone in (False, True)
}
"""The question for the job whose turn it is: for who has waited longest, and for urgent ones alone."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What an installation may say about turns.

    Attributes:
        ageing_s: a job that is not urgent and has waited for so long gets one of the turns for those.
        stat_share: of the workers, 0..1, rounded down: they take urgent jobs alone.
    """

    ageing_s: float
    stat_share: float


def take_turn(
    session: Session, rules: Rules, *, worker: str, lease_s: int, max_attempts: int
) -> Claim | None:
    """Take the job whose turn it is; None where none is to be taken.

    Args:
        session: one transaction.
        rules: of this installation.
        worker: who takes it.
        lease_s: a worker unheard of for so long loses it.
        max_attempts: a job that had all of them ends instead.
    """
    is_aged = _begin(session, worker)
    if is_aged is None:
        return None
    urgent_alone = _is_kept_free(session, rules)
    for _ in range(TRIES):
        job_id = session.scalar(NEXT[is_aged, urgent_alone], {"ageing_s": rules.ageing_s})
        if job_id is None:
            return None
        claim = claim_job(
            session, job_id, worker=worker, lease_s=lease_s, max_attempts=max_attempts
        )
        if claim is not None:
            session.execute(select(TURNS.next_value()))
            return claim
    return None


def count_due(session: Session, *, most: int) -> int:
    """Return how many jobs may be taken now, counted up to `most`."""
    # Hospital by hospital: the jobs of one that is paused are not read.
    own = select(JobRow.id).where(IS_DUE, JobRow.tenant_id == TenantRow.id).limit(most)
    due = own.lateral("due")
    some = (
        select(due.c.id)
        .select_from(TenantRow)
        .join(due, true())
        .where(~is_paused(TenantRow.id))
        .limit(most)
        .subquery()
    )
    return session.scalars(select(func.count()).select_from(some)).one()


def longest_wait_s(session: Session) -> float:
    """Return how long the oldest job has waited that is due and not urgent; 0 where none is.

    A hospital that a person has paused is left out: its queue is no longer than was meant.
    """
    first = _first_of_each()
    waited_s = func.extract("epoch", func.now() - func.min(first.c.due_at))
    query = (
        select(func.coalesce(waited_s, 0.0))
        .select_from(TenantRow)
        .join(URGENCIES, URGENCIES.c.rank > 0)
        .join(first, true())
        .where(~is_paused(TenantRow.id))
    )
    return float(session.scalars(query).one())


def _begin(session: Session, worker: str) -> bool | None:
    """Wait for the turn before; tell whether this one is for who has waited longest.

    The answer is None where there is none: everything is paused, or this worker is to rest.
    """
    # Two workers that chose at once would choose the same job, or each other's hospital's.
    session.execute(
        select(
            # A machine that is cut off in the middle of its turn must not hold up all others.
            func.set_config("idle_in_transaction_session_timeout", str(IDLE_MS), True),
            func.pg_advisory_xact_lock(LOCK),
        )
    )
    # Only a turn that was taken counts: workers that find nothing would take the aged ones away.
    last = func.pg_sequence_last_value(cast(TURNS.name, REGCLASS))
    rests = or_(all_paused(), is_drained(worker))
    taken, stands_still = session.execute(select(last, rests)).one()
    return None if stands_still else ((taken or 0) + 1) % AGED_TURN == 0


def _is_kept_free(session: Session, rules: Rules) -> bool:
    """Tell whether no more workers may take what is not urgent."""
    workers = count_live(session)
    kept = int(workers * rules.stat_share)
    if not kept:
        return False
    # A worker that is to stop is no longer counted, so what it is about must not be, either.
    ends = exists().where(WorkerRow.job_id == JobRow.id, WorkerRow.state == WorkerState.DRAINING)
    not_urgent = select(func.count()).where(
        JobRow.state == State.RUNNING,
        JobRow.lease_until > func.now(),
        JobRow.priority_rank > 0,
        ~ends,
    )
    return session.scalars(not_urgent).one() >= workers - kept
