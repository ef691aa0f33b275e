# SPDX-License-Identifier: Apache-2.0
"""Processes that run jobs: what they say of themselves, and which of them live."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import ColumnElement, Update, case, delete, exists, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.clock import from_now
from db.drains import forget_drains
from db.scope import EVERYTHING, Scope
from db.tables import DrainRow, JobRow, WorkerRow
from hilum.workers import LOST_S, RESTING, WorkerState

KEPT_S = 24 * 3600.0
"""A row unheard of for so long is removed: who was lost last night is asked about today."""

AT_REST = {WorkerState.IDLE: WorkerState.DRAINED, WorkerState.BUSY: WorkerState.DRAINING}
"""What a worker that was asked to take no more jobs is doing, by what it would be doing else."""

BY_NAME = (WorkerRow.name, WorkerRow.started_at, WorkerRow.id)


@dataclass(frozen=True, slots=True)
class Worker:
    """What stays the same as long as a process runs.

    Attributes:
        id: of its row.
        name, pid, device, gpu, version: as in `WorkerRow`.
    """

    id: UUID
    name: str
    pid: int
    device: str
    gpu: str | None
    version: str


@dataclass(frozen=True, slots=True)
class Work:
    """What a process is about.

    Attributes:
        state: what it is doing.
        job_id: what it runs; None between jobs.
        jobs_done: jobs it has run.
    """

    state: WorkerState = WorkerState.IDLE
    job_id: UUID | None = None
    jobs_done: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """What a process uses; None is what nobody can tell.

    Attributes:
        networks, memory_bytes, gpu_memory_used_bytes, gpu_memory_total_bytes, gpu_utilisation: as
            in `WorkerRow`.
    """

    networks: Sequence[str] = ()
    memory_bytes: int | None = None
    gpu_memory_used_bytes: int | None = None
    gpu_memory_total_bytes: int | None = None
    gpu_utilisation: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker as others see it.

    Attributes:
        row: what it said last.
        state: the same as it says, or lost.
        job_id: what it runs, where whoever asks may know.
        drain: who asked it to take no more jobs; None where nobody has.
    """

    row: WorkerRow
    state: WorkerState
    job_id: UUID | None
    drain: DrainRow | None


def heartbeat(session: Session, worker: Worker, work: Work, load: Load) -> None:
    """Write what a worker says of itself; the first time, and after its row was removed, anew.

    Whether somebody asked it to take no more jobs is read here, and told by its state.
    """
    # A job may be gone from the table while its worker has not heard of it. Asked before the row
    # is written: whoever locks both tables, locks that of jobs first.
    known = select(JobRow.id).where(JobRow.id == work.job_id).scalar_subquery()
    asked = exists().where(DrainRow.worker == worker.name)
    job_id, is_asked = session.execute(select(known if work.job_id else null(), asked)).one()
    said = asdict(worker) | asdict(work) | asdict(load) | {"job_id": job_id, "seen_at": func.now()}
    said["networks"] = list(load.networks)
    if is_asked:
        said["state"] = AT_REST.get(work.state, work.state)
    session.execute(
        insert(WorkerRow)
        .values(**said, started_at=func.now())
        .on_conflict_do_update(index_elements=[WorkerRow.id], set_=said | {"stopped_at": None})
    )


def take_name(session: Session, worker: Worker) -> None:
    """Note that whoever had this worker's name before is gone: a node has one process at a time."""
    same = (WorkerRow.name == worker.name, WorkerRow.id != worker.id)
    session.execute(_stop().where(*same, WorkerRow.stopped_at.is_(None)))


def say_goodbye(session: Session, worker_id: UUID) -> None:
    """Note that a worker has ended in order."""
    session.execute(_stop().where(WorkerRow.id == worker_id))


def live_workers(session: Session) -> list[WorkerRow]:
    """Return the workers that were heard of lately, those that drain included, by name."""
    return list(session.scalars(select(WorkerRow).where(*_live()).order_by(*BY_NAME)))


def count_live(session: Session) -> int:
    """Return how many workers were heard of lately, those that take no more jobs left out."""
    may_take = WorkerRow.state.not_in(RESTING)
    return session.scalars(select(func.count()).where(*_live(), may_take)).one()


def known_workers(session: Session, scope: Scope = EVERYTHING) -> list[Seen]:
    """Return the workers that live or were lost within a day, by name.

    Args:
        session: one transaction.
        scope: whose jobs may be told of.
    """
    lost = WorkerRow.seen_at < from_now(-LOST_S)
    state = case((lost, WorkerState.LOST.value), else_=WorkerRow.state)
    own = select(JobRow.id).where(JobRow.id == WorkerRow.job_id, scope.holds(JobRow.tenant_id))
    query = (
        select(WorkerRow, state, own.scalar_subquery(), DrainRow)
        .outerjoin(DrainRow, DrainRow.worker == WorkerRow.name)
        .where(WorkerRow.stopped_at.is_(None))
        .order_by(*BY_NAME)
    )
    found = session.execute(query)
    return [Seen(row, WorkerState(shown), job, drain) for row, shown, job, drain in found]


def forget_workers(session: Session) -> None:
    """Remove the rows of workers that nobody has heard of for a day."""
    session.execute(delete(WorkerRow).where(WorkerRow.seen_at < from_now(-KEPT_S)))
    forget_drains(session)


def _live() -> tuple[ColumnElement[bool], ...]:
    return (WorkerRow.stopped_at.is_(None), WorkerRow.seen_at >= from_now(-LOST_S))


def _stop() -> Update:
    return update(WorkerRow).values(stopped_at=func.now(), job_id=None)
