# SPDX-License-Identifier: Apache-2.0
"""What went wrong with a job, attempt by attempt: for whoever decides whether it may be tried again.

It is kept with the job's events. An attempt that raised has the frames of what it raised; one whose
process died of a fault has those that the process left behind; of one that was killed from outside
there are none, and its last signs of life say how far it was.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Float, cast, func, select
from sqlalchemy.orm import Session

from db.steps import record
from db.tables import JobEventRow, JobRow, WorkerRow
from hilum.jobs import State

Crash = Mapping[str, Any]
"""As `hilum.logs.describe_crash` returns it: the class of an error, its frames, and its causes."""

CRASH: Final = "crash"
LAST: Final = "last"
"""In the detail of an event: where it broke off, and the last signs of a worker that was lost."""

CRASHED: Final = "crashed"
"""Event of a job whose process left frames behind; that it was taken back is an event of its own."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a job was taken.

    Attributes:
        worker: `host:pid` of who took it.
        began_at, ended_at: from the claim to the next step; None while it runs.
        outcome: the state it left the job in; None while it runs.
        reason: why it ended, or the code of the error.
        crash: where it broke off; None where nothing was left of that.
        last: how far a lost worker was: `stage`, `done`, `total`, `ran_s` and `memory_bytes`.
    """

    worker: str
    began_at: datetime
    ended_at: datetime | None = None
    outcome: State | None = None
    reason: str = ""
    crash: Crash | None = None
    last: Mapping[str, Any] | None = None


def keep_crash(session: Session, job_id: UUID, worker: str, crash: Crash) -> bool:
    """Keep what a process left behind with the job it ran; False where that job is gone."""
    if session.get(JobRow, job_id) is None:
        return False
    record(session, job_id, CRASHED, {"worker": worker, CRASH: dict(crash)})
    return True


def last_signs(session: Session, condition: ColumnElement[bool]) -> dict[UUID, dict[str, Any]]:
    """Return what is known of running jobs that meet a condition, to be kept where they are lost."""
    ran_s = cast(func.extract("epoch", func.now() - JobRow.started_at), Float)
    query = (
        select(
            JobRow.id,
            JobRow.worker,
            JobRow.stage,
            JobRow.stage_done.label("done"),
            JobRow.stage_total.label("total"),
            ran_s.label("ran_s"),
            WorkerRow.memory_bytes,
        )
        .outerjoin(WorkerRow, WorkerRow.process == JobRow.worker)
        .where(JobRow.state == State.RUNNING, condition)
    )
    rows = [dict(row) for row in session.execute(query).mappings()]
    return {row.pop("id"): row for row in rows}


def attempts(session: Session, job_ids: Iterable[UUID]) -> dict[UUID, list[Attempt]]:
    """Return how jobs were tried, the first time first."""
    ids = list(job_ids)
    events = select(JobEventRow).where(JobEventRow.job_id.in_(ids)).order_by(JobEventRow.id)
    found: dict[UUID, list[Attempt]] = {job_id: [] for job_id in ids}
    for event in session.scalars(events):
        _follow(found[event.job_id], event)
    return found


def _follow(tried: list[Attempt], event: JobEventRow) -> None:
    """Take one more event of a job into its attempts."""
    if event.event == State.RUNNING:
        tried.append(Attempt(event.detail.get("worker", ""), event.at))
    elif event.event == CRASHED:
        # It may be found before the job is taken back, and after another worker has taken it.
        for place, one in enumerate(tried):
            if one.worker == event.detail["worker"] and one.crash is None:
                tried[place] = replace(one, crash=event.detail[CRASH])
    elif event.event in set(State) and tried and tried[-1].ended_at is None:
        tried[-1] = _ended(tried[-1], event)


def _ended(attempt: Attempt, event: JobEventRow) -> Attempt:
    detail = event.detail
    return replace(
        attempt,
        ended_at=event.at,
        outcome=State(event.event),
        reason=detail.get("reason") or detail.get("code") or "",
        crash=detail.get(CRASH) or attempt.crash,
        last=detail.get(LAST),
    )
