# SPDX-License-Identifier: Apache-2.0
"""Workers that a person asked to finish the job at hand and take no more, until told otherwise.

The wish is kept by the name of a worker, not of its process: one that is started anew heeds it too.
`db/turns.py` gives such a worker no turn, and its row says `draining`, then `drained`.
"""

from sqlalchemy import ColumnElement, case, delete, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.tables import DrainRow, WorkerRow
from hilum.errors import UnknownWorker
from hilum.workers import WorkerState

IS_IDLE = WorkerRow.job_id.is_(None)


def drain_worker(session: Session, name: str, *, by: str) -> bool:
    """Ask a worker to take no more jobs; False where it was asked already.

    Raises:
        UnknownWorker: none of this name lives or was lost within a day.
    """
    _check_known(session, name)
    added = insert(DrainRow).values(worker=name, by=by).on_conflict_do_nothing()
    asked = session.scalar(added.returning(DrainRow.worker)) is not None
    _say(session, name, case((IS_IDLE, WorkerState.DRAINED), else_=WorkerState.DRAINING))
    return asked


def release_worker(session: Session, name: str) -> bool:
    """Let a worker take jobs again; False where it was not asked to take none.

    Raises:
        UnknownWorker: none of this name lives or was lost within a day.
    """
    _check_known(session, name)
    ended = session.scalar(
        delete(DrainRow).where(DrainRow.worker == name).returning(DrainRow.worker)
    )
    if ended is not None:
        # Where it is about to stop for another reason, its next heartbeat says so.
        _say(session, name, case((IS_IDLE, WorkerState.IDLE), else_=WorkerState.BUSY))
    return ended is not None


def forget_drains(session: Session) -> None:
    """Forget what was asked of workers that nobody knows any more."""
    known = exists().where(WorkerRow.name == DrainRow.worker)
    session.execute(delete(DrainRow).where(~known))


def is_drained(process: str) -> ColumnElement[bool]:
    """Return the condition that the worker of a process, `host:pid`, is to take no jobs."""
    return exists().where(
        WorkerRow.process == process,
        WorkerRow.stopped_at.is_(None),
        WorkerRow.name == DrainRow.worker,
    )


def _check_known(session: Session, name: str) -> None:
    known = select(WorkerRow.id).where(WorkerRow.name == name, WorkerRow.stopped_at.is_(None))
    if session.scalar(known.limit(1)) is None:
        raise UnknownWorker(f"There is no worker {name!r}.")


def _say(session: Session, name: str, state: ColumnElement[WorkerState]) -> None:
    # At once, and not with its next heartbeat: whoever asked looks now.
    known = (WorkerRow.name == name, WorkerRow.stopped_at.is_(None))
    session.execute(update(WorkerRow).where(*known).values(state=state))
