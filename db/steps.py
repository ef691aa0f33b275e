# SPDX-License-Identifier: Apache-2.0
"""The one place where a job's state is written: one guarded statement, an event, and the news of it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, update
from sqlalchemy.orm import Session

from db.notices import queue_notices
from db.tables import JobEventRow, JobRow
from hilum.findings import Report
from hilum.jobs import FINAL_STATES, State, may_move

LET_GO: dict[str, Any] = {"claim": None, "lease_until": None}
"""Nobody holds the job any more."""

START_OVER: dict[str, Any] = LET_GO | {
    "worker": None,
    "stage": None,
    "stage_done": 0,
    "stage_total": 0,
    "fraction": 0.0,
    "absent_since": None,
}
"""What a job that goes back to the queue forgets; not when it was begun: its hospital had that turn."""


def take_step(
    session: Session,
    before: State,
    after: State,
    *conditions: ColumnElement[bool],
    detail: dict[str, Any] | Callable[[JobRow], dict[str, Any]] | None = None,
    report: Report | None = None,
    **values: Any,
) -> list[JobRow]:
    """Move every job in one state that meets the conditions to another; return those that moved.

    Whoever is to be told that a job has ended is told by a row of this very transaction.

    Two transactions that try the same step on a job have one winner: the other finds no row.

    Args:
        session: one transaction.
        before: the state a job must be in.
        after: the state it goes to.
        conditions: beside the state, such as the id or the claim token.
        detail: kept with the event; or what makes it of each job.
        report: of the one job that has succeeded.
        values: further columns to write.

    Raises:
        ValueError: the step is not in `hilum.jobs.TRANSITIONS`.
    """
    if not may_move(before, after):
        raise ValueError(f"A job may not step from {before} to {after}.")
    if after in FINAL_STATES:
        values |= LET_GO | {"finished_at": func.now()}
    moved = session.scalars(
        update(JobRow)
        .where(JobRow.state == before, *conditions)
        .values(state=after, **values)
        .returning(JobRow)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).all()
    for job in moved:
        record(session, job.id, after, detail(job) if callable(detail) else detail)
        if job.is_final:
            queue_notices(session, job, report)
    return list(moved)


def record(
    session: Session, job_id: UUID, event: str, detail: dict[str, Any] | None = None
) -> None:
    """Append to what happened to a job."""
    session.add(JobEventRow(job_id=job_id, event=str(event), detail=detail or {}))
