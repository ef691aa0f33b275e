# SPDX-License-Identifier: Apache-2.0
"""The questions people ask about jobs, and what they may do to them; all within a tenant."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from db.pages import (
    Conditions,
    Listing,
    Page,
    SortColumns,
    fetch_page,
    iterate,
    narrow,
    version_of,
)
from db.session import Sessions
from db.steps import record, take_step
from db.tables import JobEventRow, JobRow
from hilum.catalogue import pipeline_card
from hilum.errors import IdempotencyConflict, NotCancellable, QueueUnavailable, UnknownJob
from hilum.jobs import Priority, State
from hilum.registry import is_version_of

SUBMIT_TRIES = 3
"""A job that stood in the way may end between two looks; it cannot do so again and again."""

RECENT_JOBS = 20
"""Jobs whose speed tells how fast the next will be."""

SORTS: SortColumns = {"created_at": JobRow.created_at}

LIVE = JobRow.state.in_((State.QUEUED, State.RUNNING, State.SUCCEEDED))
"""Jobs that a second submission of the same study is answered with."""


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs a list holds; None asks nothing.

    Attributes:
        state, priority, pipeline: exactly this one.
        network: this one, as `name@version`, or every version of a `name`.
        study_id: of this upload.
        since, until: submitted at or after, and before.
    """

    state: State | None = None
    priority: Priority | None = None
    pipeline: str | None = None
    network: str | None = None
    study_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


FILTERS: Conditions = {
    "state": JobRow.state.__eq__,
    "priority": JobRow.priority.__eq__,
    "pipeline": JobRow.pipeline.__eq__,
    "network": version_of(JobRow.network),
    "study_id": JobRow.study_id.__eq__,
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
) -> tuple[JobRow, bool]:
    """Queue a run of a pipeline over a study; return its job and whether it is new.

    The same idempotency key, or a job that has not failed for the same study, network and pipeline
    in its present version, is answered with the job there is, whoever of two callers was first.

    `network` is `name@version`, `network_asked` what the client called it, None where it named none.

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
        job_id = session.scalar(
            insert(JobRow)
            .values(
                id=uuid4(),
                tenant_id=tenant_id,
                priority=priority,
                slice_count=slice_count,
                idempotency_key=idempotency_key,
                callback_url=callback_url,
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


def mark_rung(session: Session, job_ids: Collection[UUID]) -> None:
    """Note that a message was sent for each of these jobs."""
    session.execute(update(JobRow).where(JobRow.id.in_(job_ids)).values(rung_at=func.now()))


# ── Asking ────────────────────────────────────────────────────────────────────────────────────


def job_for(session: Session, tenant_id: UUID, job_id: UUID) -> JobRow:
    """Return a tenant's job with its study.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
    """
    job = session.scalar(_of(tenant_id).where(JobRow.id == job_id))
    if job is None:
        raise UnknownJob(f"There is no job {job_id}.")
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


def queue_place(session: Session, job: JobRow) -> int | None:
    """Return how many jobs are served before this one; None when it does not wait."""
    if job.state is not State.QUEUED:
        return None
    return session.scalar(select(func.count()).select_from(JobRow).where(_ahead_of(job)))


def estimate_s(session: Session, job: JobRow) -> float | None:
    """Return the seconds until a job is done; None when it has ended or nothing is known yet.

    From the speed of recent jobs of its kind, the slices ahead of it, and the workers that are busy.
    """
    speed = None if job.is_final else seconds_per_slice(session, job.pipeline, job.network)
    if speed is None:
        return None
    own_slices = (1.0 - job.fraction) * job.slice_count
    if job.state is State.RUNNING:
        return own_slices * speed
    waiting = select(func.coalesce(func.sum(JobRow.slice_count), 0)).where(_ahead_of(job))
    running = select(
        func.coalesce(func.sum((1.0 - JobRow.fraction) * JobRow.slice_count), 0.0),
        func.count(JobRow.worker.distinct()),
    ).where(JobRow.state == State.RUNNING)
    begun_slices, workers = session.execute(running).one()
    ahead = session.scalars(waiting).one() + begun_slices
    return float(speed * (ahead / max(workers, 1) + own_slices))


def seconds_per_slice(session: Session, pipeline: str, network: str) -> float | None:
    """Return the speed of recent jobs of a kind, in seconds of a whole job over its slices."""
    taken_s = func.extract("epoch", JobRow.finished_at - JobRow.started_at)
    recent = (
        select(taken_s.label("taken_s"), JobRow.slice_count)
        .where(
            JobRow.state == State.SUCCEEDED,
            JobRow.pipeline == pipeline,
            JobRow.network == network,
            JobRow.slice_count > 0,
        )
        .order_by(JobRow.finished_at.desc())
        .limit(RECENT_JOBS)
        .subquery()
    )
    speed = session.scalar(select(func.sum(recent.c.taken_s) / func.sum(recent.c.slice_count)))
    return None if speed is None else float(speed)


def _of(tenant_id: UUID) -> Select[JobRow]:
    return select(JobRow).where(JobRow.tenant_id == tenant_id).options(joinedload(JobRow.study))


def _ahead_of(job: JobRow) -> ColumnElement[bool]:
    order = tuple_(JobRow.priority_rank, JobRow.created_at, JobRow.id)
    place = tuple_(job.priority_rank, job.created_at, job.id)
    return (JobRow.state == State.QUEUED) & (order < place)


# ── Stopping ──────────────────────────────────────────────────────────────────────────────────


def cancel_job(session: Session, tenant_id: UUID, job_id: UUID) -> JobRow:
    """Cancel a job that waits, or ask the worker of one that runs to stop; return it.

    Raises:
        UnknownJob: there is none, or it is another tenant's.
        NotCancellable: it has ended.
    """
    job = session.scalar(
        _of(tenant_id)
        .where(JobRow.id == job_id)
        .with_for_update(of=JobRow)
        .execution_options(populate_existing=True)
    )
    if job is None:
        raise UnknownJob(f"There is no job {job_id}.")
    if job.is_final:
        raise NotCancellable(
            f"Job {job_id} has {job.state} already, expected it queued or running."
        )
    if job.state is State.QUEUED:
        take_step(session, State.QUEUED, State.CANCELLED, JobRow.id == job_id)
    elif not job.cancel_requested:
        job.cancel_requested = True
        record(session, job_id, "cancel_requested")
    return job
