# SPDX-License-Identifier: Apache-2.0
"""Jobs as people submit them and ask about them; all within a tenant."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from db.pages import (
    Conditions,
    Listing,
    Page,
    SortColumns,
    count_from,
    fetch_page,
    iterate,
    narrow,
    version_of,
)
from db.scope import Scope
from db.session import Sessions
from db.steps import record
from db.tables import BatchJobRow, JobEventRow, JobRow
from hilum.catalogue import pipeline_card
from hilum.errors import IdempotencyConflict, QueueUnavailable, UnknownJob
from hilum.jobs import Priority, State
from hilum.registry import is_version_of

SUBMIT_TRIES = 3
"""A job that stood in the way may end between two looks; it cannot do so again and again."""

SORTS: SortColumns = {"created_at": JobRow.created_at}

LIVE = JobRow.state.in_((State.QUEUED, State.RUNNING, State.SUCCEEDED))
"""Jobs that a second submission of the same study is answered with."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list holds; None asks nothing.

    Attributes:
        state, priority, pipeline: exactly this one.
        network: this one, as `name@version`, or every version of a `name`.
        error_code: of what ended for this reason.
        study_id: of this upload.
        batch_id: in this batch.
        since, until: submitted at or after, and before.
    """

    state: State | None = None
    priority: Priority | None = None
    pipeline: str | None = None
    network: str | None = None
    error_code: str | None = None
    study_id: UUID | None = None
    batch_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


FILTERS: Conditions = {
    "state": JobRow.state.__eq__,
    "priority": JobRow.priority.__eq__,
    "pipeline": JobRow.pipeline.__eq__,
    "network": version_of(JobRow.network),
    "error_code": JobRow.error_code.__eq__,
    "study_id": JobRow.study_id.__eq__,
    "batch_id": lambda batch_id: JobRow.id.in_(
        select(BatchJobRow.job_id).where(BatchJobRow.batch_id == batch_id)
    ),
    "since": JobRow.created_at.__ge__,
    "until": JobRow.created_at.__lt__,
}


# ── Submitting ────────────────────────────────────────────────────────────────────────────────


def submit_job(
    session: Session,
    *,
    tenant_id: UUID,
    study_id: UUID,
    pipeline: str,
    network: str,
    network_asked: str | None = None,
    priority: Priority,
    slice_count: int,
    idempotency_key: str | None,
    callback_url: str | None,
    request_id: str | None = None,
    admit: Callable[[], None] | None = None,
) -> tuple[JobRow, bool]:
    """Queue a run of a pipeline over a study; return its job and whether it is new.

    The same idempotency key, or a job that has not failed for the same study, network and pipeline
    in its present version, is answered with the job there is, whoever of two callers was first.

    `network` is `name@version`, `network_asked` what the client called it, None where it named none.
    `admit` is called where the job would be new, and raises what stands in its way.

    Raises:
        IdempotencyConflict: the key was used for another study, pipeline or network.
    """
    wanted: dict[str, UUID | str] = {
        "study_id": study_id,
        "pipeline": pipeline,
        "pipeline_version": pipeline_card(pipeline).version,
        "network": network,
    }
    for _ in range(SUBMIT_TRIES):
        present = repeated_job(
            session,
            tenant_id,
            idempotency_key,
            study_id=study_id,
            pipeline=pipeline,
            network_asked=network_asked,
        ) or _live_job(session, tenant_id, wanted)
        if present is not None:
            return present, False
        if admit is not None:
            admit()
        job_id = session.scalar(
            insert(JobRow)
            .values(
                id=uuid4(),
                tenant_id=tenant_id,
                priority=priority,
                slice_count=slice_count,
                idempotency_key=idempotency_key,
                callback_url=callback_url,
                request_id=request_id,
                **wanted,
            )
            .on_conflict_do_nothing()
            .returning(JobRow.id)
        )
        if job_id is not None:
            record(session, job_id, "submitted", {"priority": priority})
            return job_for(session, tenant_id, job_id), True
    raise QueueUnavailable(f"Study {study_id} is being submitted by several callers at once.")


def _live_job(session: Session, tenant_id: UUID, wanted: dict[str, UUID | str]) -> JobRow | None:
    same = (getattr(JobRow, name) == value for name, value in wanted.items())
    return session.scalar(_of(tenant_id).where(LIVE, *same))


def repeated_job(
    session: Session,
    tenant_id: UUID,
    key: str | None,
    *,
    study_id: UUID,
    pipeline: str,
    network_asked: str | None,
) -> JobRow | None:
    """Return the job that this very request made before, by its idempotency key.

    Raises:
        IdempotencyConflict: the key was used for another study, pipeline or network.
    """
    job = None if key is None else find_job_by_idempotency_key(session, tenant_id, key)
    if job is not None:
        check_same(job, study_id=study_id, pipeline=pipeline, network_asked=network_asked)
    return job


def check_same(job: JobRow, *, study_id: UUID, pipeline: str, network_asked: str | None) -> None:
    """Make sure that a job seen under the same idempotency key is what is asked for now.

    A network that was not named is not compared, and a name stands for whichever version it meant:
    the key still belongs to its job after `HILUM_NETWORK` changed, or a version came or went.

    Raises:
        IdempotencyConflict: it is of another study, pipeline or network.
    """
    is_same = (job.study_id, job.pipeline) == (study_id, pipeline)
    if not is_same or not is_version_of(job.network, network_asked or job.network):
        raise IdempotencyConflict(
            f"The idempotency key belongs to job {job.id} of study {job.study_id} by"
            f" {job.pipeline} with {job.network}, expected the same, found study {study_id} by"
            f" {pipeline} with {network_asked or 'the usual network'}."
        )


def find_job_by_idempotency_key(session: Session, tenant_id: UUID, key: str) -> JobRow | None:
    """Return the job that was submitted with this key."""
    return session.scalar(_of(tenant_id).where(JobRow.idempotency_key == key))


# ── Asking ────────────────────────────────────────────────────────────────────────────────────


def job_for(session: Session, tenant_id: UUID, job_id: UUID) -> JobRow:
    """Return a tenant's job with its study.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
    """
    job = session.scalar(_of(tenant_id).where(JobRow.id == job_id))
    if job is None:
        raise _unknown(job_id)
    return job


def job_in(session: Session, scope: Scope, job_id: UUID) -> JobRow:
    """Return a job of one of some hospitals, with its study.

    Raises:
        UnknownJob: there is none, or it is another hospital's.
    """
    job = session.scalar(
        select(JobRow)
        .where(JobRow.id == job_id, scope.holds(JobRow.tenant_id))
        .options(joinedload(JobRow.study))
    )
    if job is None:
        raise _unknown(job_id)
    return job


def lock_job(session: Session, tenant_id: UUID, job_id: UUID) -> JobRow:
    """Return a tenant's job as it is now; nobody else changes it before the transaction ends.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
    """
    job = session.scalar(
        _of(tenant_id)
        .where(JobRow.id == job_id)
        .with_for_update(of=JobRow)
        .execution_options(populate_existing=True)
    )
    if job is None:
        raise _unknown(job_id)
    return job


def list_jobs(session: Session, tenant_id: UUID, chosen: JobFilter, page: Page) -> Listing[JobRow]:
    """Return one page of a tenant's jobs with their studies.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = narrow(_of(tenant_id), chosen, FILTERS)
    return fetch_page(session, query, page, columns=SORTS, id_column=JobRow.id)


def iterate_jobs(
    sessions: Sessions, tenant_id: UUID, chosen: JobFilter, sort: str = "-created_at"
) -> Iterator[JobRow]:
    """Yield every job of a list, for a file of unknown length."""
    return iterate(
        sessions, lambda session, page: list_jobs(session, tenant_id, chosen, page), sort
    )


def job_events(session: Session, job_id: UUID) -> list[JobEventRow]:
    """Return what happened to a job, oldest first."""
    of_job = select(JobEventRow).where(JobEventRow.job_id == job_id)
    return list(session.scalars(of_job.order_by(JobEventRow.id)))


def count_jobs_after(session: Session, tenant_id: UUID, chosen: JobFilter, page: Page) -> int:
    """Return how many of a tenant's jobs a list holds from where a page begins.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = narrow(select(JobRow).where(JobRow.tenant_id == tenant_id), chosen, FILTERS)
    return count_from(session, query, page, columns=SORTS, id_column=JobRow.id)


def _unknown(job_id: UUID) -> UnknownJob:
    return UnknownJob(f"There is no job {job_id}.")


def _of(tenant_id: UUID) -> Select[JobRow]:
    return select(JobRow).where(JobRow.tenant_id == tenant_id).options(joinedload(JobRow.study))
