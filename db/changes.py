# SPDX-License-Identifier: Apache-2.0
"""What people may do to a job that is there: stop it, try it again, make it more or less urgent."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.admission import check_jobs
from db.estimates import keep_estimates
from db.jobs import LIVE, lock_job
from db.steps import START_OVER, record, take_step
from db.tables import JobRow, now
from hilum.errors import NotCancellable, NotPrioritisable, NotRetriable
from hilum.jobs import RETRIABLE, Priority, State

BY_API: Final = "api"
"""Who asked, where nothing more is known."""

AS_NEW: Final[dict[str, Any]] = START_OVER | {
    "attempts": 0,
    "retry_at": None,
    "cancel_requested": False,
    "error_code": None,
    "error_message": None,
    "timings_s": {},
    "finished_at": None,
    "expected_s": None,
}
"""What a job that is tried again forgets."""


def cancel_job(session: Session, tenant_id: UUID, job_id: UUID, *, by: str = BY_API) -> JobRow:
    """Cancel a job that waits, or ask the worker of one that runs to stop; return it.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
        NotCancellable: it has ended.
    """
    job = lock_job(session, tenant_id, job_id)
    if job.is_final:
        raise NotCancellable(
            f"Job {job_id} has {job.state} already, expected it queued or running."
        )
    who = {"by": by}
    if job.state is State.QUEUED:
        take_step(session, State.QUEUED, State.CANCELLED, JobRow.id == job_id, detail=who)
    elif not job.cancel_requested:
        job.cancel_requested = True
        record(session, job_id, "cancel_requested", who)
    return job


def retry_job(session: Session, tenant_id: UUID, job_id: UUID, *, by: str = BY_API) -> JobRow:
    """Queue a job that ended without a report once more, as if it were new; return it.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
        NotRetriable: it has not ended or has succeeded, or another job does the same.
        TooManyJobs: the hospital has as many under way as it may have.
    """
    job = lock_job(session, tenant_id, job_id)
    if job.state not in RETRIABLE:
        raise NotRetriable(f"Job {job_id} is {job.state}, expected {', '.join(sorted(RETRIABLE))}.")
    _check_alone(session, job)
    check_jobs(session, tenant_id)
    before = {"by": by, "before": job.state, "code": job.error_code}
    try:
        with session.begin_nested():
            record(session, job_id, "retried", before)
            take_step(
                session,
                job.state,
                State.QUEUED,
                JobRow.id == job_id,
                detail={"by": by},
                **AS_NEW | {"queued_at": now()},
            )
    except IntegrityError as error:
        # Between the look and the step somebody queued the same, and the index has only one.
        _check_alone(session, job)
        raise NotRetriable(f"Another job of study {job.study_id} was queued just now.") from error
    keep_estimates(session, [job])
    return job


def _check_alone(session: Session, job: JobRow) -> None:
    other = session.scalar(
        select(JobRow).where(
            LIVE,
            JobRow.study_id == job.study_id,
            JobRow.pipeline == job.pipeline,
            JobRow.pipeline_version == job.pipeline_version,
            JobRow.network == job.network,
            JobRow.id != job.id,
        )
    )
    if other is not None:
        raise NotRetriable(
            f"Job {other.id} of the same study and network is {other.state}, expected none"
            f" beside job {job.id}."
        )


def prioritise_job(
    session: Session, tenant_id: UUID, job_id: UUID, priority: Priority, *, by: str = BY_API
) -> JobRow:
    """Make a job that waits as urgent as asked; it keeps its time of arrival. Return it.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
        NotPrioritisable: it no longer waits.
    """
    job = lock_job(session, tenant_id, job_id)
    if job.state is not State.QUEUED:
        raise NotPrioritisable(f"Job {job_id} is {job.state}, expected it queued.")
    if job.priority is not priority:
        steps = {"by": by, "before": job.priority, "after": priority}
        record(session, job_id, "prioritised", steps)
        job.priority = priority
    return job
