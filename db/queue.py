# SPDX-License-Identifier: Apache-2.0
"""The queue as a whole: how long it is, how old, and whether anybody serves it."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Float, cast, exists, func, select
from sqlalchemy.orm import Session

from db.pauses import all_paused, is_paused
from db.tables import JobEventRow, JobRow, PauseRow
from db.workers import count_live
from hilum.errors import QueueStalled
from hilum.jobs import Priority, State

UNFINISHED = (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Depth:
    """The jobs of one priority that wait.

    Attributes:
        jobs: how many.
        oldest_s: since the oldest of them was queued; 0 where none waits.
    """

    jobs: int = 0
    oldest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Flow:
    """Whether jobs are taken.

    Attributes:
        due_s: how long the job that could have been taken first has waited; None where none waits
            or whatever waits is paused.
        claimed_s: since a job was last taken; None where none ever was.
        held: whether a job runs whose worker was heard of within its lease.
        workers: that live and may take jobs.
        paused: whether a person has paused everything.
        paused_hospitals: how many they have paused by themselves.
    """

    due_s: float | None
    claimed_s: float | None
    held: bool
    workers: int
    paused: bool = False
    paused_hospitals: int = 0

    def is_stalled(self, stall_s: float) -> bool:
        """Tell whether jobs wait and nobody takes them.

        Workers that are all at work on long jobs are no stall, however long the others wait; nor is
        a queue that a person has paused.
        """
        waits = self.due_s is not None and self.due_s > stall_s
        taken = self.claimed_s is not None and self.claimed_s <= stall_s
        return waits and not taken and not self.held


def depths(session: Session) -> dict[Priority, Depth]:
    """Return what waits, for every priority."""
    query = (
        select(JobRow.priority_rank, func.count(), _seconds_since(func.min(JobRow.queued_at)))
        .where(JobRow.state == State.QUEUED)
        .group_by(JobRow.priority_rank)
    )
    found = {rank: Depth(jobs, oldest_s) for rank, jobs, oldest_s in session.execute(query)}
    return {priority: found.get(rank, Depth()) for rank, priority in enumerate(Priority)}


def count_by_state(session: Session) -> dict[State, int]:
    """Return how many jobs of all tenants are in each state, from indexes alone."""
    # Three questions, because each has an index that holds the jobs of its states and no others.
    states = {state: _count(session, state) for state in UNFINISHED}
    ended = (
        select(JobRow.state, func.count())
        .where(JobRow.state.not_in(UNFINISHED))
        .group_by(JobRow.state)
    )
    states |= dict(session.execute(ended).all())
    return {state: states.get(state, 0) for state in State}


def count_tried_before(session: Session) -> int:
    """Return how many jobs wait for another attempt, or run in one."""
    waiting = (JobRow.state == State.QUEUED) & (JobRow.attempts > 0)
    running = (JobRow.state == State.RUNNING) & (JobRow.attempts > 1)
    counts = (select(func.count(JobRow.id)).where(which) for which in (waiting, running))
    return sum(session.scalars(count).one() for count in counts)


def flow(session: Session) -> Flow:
    """Return whether jobs are taken: one statement, an index each for its parts."""
    due = func.min(func.coalesce(JobRow.retry_at, JobRow.queued_at))
    waits = select(_seconds_since(due)).where(
        JobRow.state == State.QUEUED, ~is_paused(JobRow.tenant_id)
    )
    claimed = select(_seconds_since(func.max(JobEventRow.at))).where(
        JobEventRow.event == State.RUNNING.value
    )
    held = exists().where(JobRow.state == State.RUNNING, JobRow.lease_until > func.now())
    hospitals = select(func.count(PauseRow.tenant_id))
    parts = (waits.scalar_subquery(), claimed.scalar_subquery(), held)
    due_s, claimed_s, is_held, paused, paused_hospitals = session.execute(
        select(*parts, all_paused(), hospitals.scalar_subquery())
    ).one()
    return Flow(due_s, claimed_s, is_held, count_live(session), paused, paused_hospitals)


def check_flow(session: Session, *, stall_s: float) -> None:
    """Make sure that somebody serves the queue, where anything waits.

    Raises:
        QueueStalled: nobody does.
    """
    found = flow(session)
    if not found.is_stalled(stall_s):
        return
    since = "ever" if found.claimed_s is None else f"for {found.claimed_s:.0f} s"
    raise QueueStalled(
        f"A job could have been taken {found.due_s:.0f} s ago, expected at most {stall_s:.0f} s:"
        f" none was taken {since}, none runs, and {found.workers} workers live."
    )


def _count(session: Session, state: State) -> int:
    return session.scalars(select(func.count()).where(JobRow.state == state)).one()


def _seconds_since(instant: ColumnElement[Any]) -> ColumnElement[float]:
    return cast(func.extract("epoch", func.now() - instant), Float)
