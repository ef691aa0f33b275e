# SPDX-License-Identifier: Apache-2.0
"""Whether there is room for more: what a hospital may have, and how long the queue may be.

Two requests that are looked at in the same moment see the same room, so a limit may be passed by
what is under way at once; a lock that forbids it would make hospitals wait for each other.
"""

from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import JobRow, StudyRow
from db.tenants import quota_of
from db.turns import longest_wait_s
from hilum.errors import QueueOverloaded, TooManyBytes, TooManyJobs
from hilum.jobs import Priority, State
from hilum.settings import MIB

LIVE: Final = (State.QUEUED, State.RUNNING)
"""States of the jobs that a quota counts."""


def check_jobs(session: Session, tenant_id: UUID, *, more: int = 1) -> None:
    """Make sure that a hospital may have so many more jobs.

    Raises:
        TooManyJobs: it may not.
    """
    most = quota_of(session, tenant_id).jobs
    if most is None:
        return
    found = count_live_jobs(session, tenant_id)
    if found + more > most:
        raise TooManyJobs(
            f"{found} jobs wait or run and {more} would come, expected at most {most} together."
        )


def check_bytes(session: Session, tenant_id: UUID, *, more: int) -> None:
    """Make sure that a hospital may store so many more bytes.

    Raises:
        TooManyBytes: it may not.
    """
    most = quota_of(session, tenant_id).bytes
    if most is None:
        return
    found = stored_bytes(session, tenant_id)
    if found + more > most:
        raise TooManyBytes(
            f"{found / MIB:.1f} MiB are stored and {more / MIB:.1f} MiB would come, expected at"
            f" most {most / MIB:.1f} MiB together."
        )


def check_queue(session: Session, priority: Priority, *, max_age_s: float) -> None:
    """Make sure that the queue may take another job of a priority.

    Args:
        session: one transaction.
        priority: an urgent job is always taken.
        max_age_s: how long the oldest job may have waited; 0 sets no limit.

    Raises:
        QueueOverloaded: it may not.
    """
    if not max_age_s or priority is Priority.STAT:
        return
    found_s = longest_wait_s(session)
    if found_s > max_age_s:
        raise QueueOverloaded(
            f"The oldest job has waited for {found_s:.0f} s, expected at most {max_age_s:.0f} s:"
            f" only jobs of priority {Priority.STAT} are taken."
        )


def count_live_jobs(session: Session, tenant_id: UUID) -> int:
    """Return how many jobs of a hospital wait or run."""
    live = select(func.count()).where(JobRow.tenant_id == tenant_id, JobRow.state.in_(LIVE))
    return session.scalars(live).one()


def stored_bytes(session: Session, tenant_id: UUID) -> int:
    """Return how many bytes the studies of a hospital have, as they were sent."""
    summed = func.coalesce(func.sum(StudyRow.size_bytes), 0)
    return int(session.scalars(select(summed).where(StudyRow.tenant_id == tenant_id)).one())
