# SPDX-License-Identifier: Apache-2.0
"""Many jobs under one name: asked for by one call, followed by one status; all within a tenant."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, case, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.estimates import keep_estimates
from db.jobs import LIVE, SUBMIT_TRIES
from db.outlook import survey
from db.pages import Conditions, Listing, Page, SortColumns, fetch_page, narrow
from db.studies import slice_counts
from db.tables import BatchJobRow, BatchRow, JobEventRow, JobRow, now
from hilum.catalogue import pipeline_card
from hilum.errors import (
    BatchClosed,
    IdempotencyConflict,
    QueueUnavailable,
    UnknownBatch,
)
from hilum.jobs import FINAL_STATES, Priority, State

MOST_STUDIES: Final = 1000
"""Of one call: it is one transaction, and one message for each new job."""

SORTS: SortColumns = {"created_at": BatchRow.created_at}


@dataclass(frozen=True, slots=True)
class BatchFilter:
    """Which batches a list holds; None asks nothing.

    Attributes:
        since, until: made at or after, and before.
    """

    since: datetime | None = None
    until: datetime | None = None


FILTERS: Conditions = {
    "since": BatchRow.created_at.__ge__,
    "until": BatchRow.created_at.__lt__,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for each study of a batch.

    Attributes:
        pipeline: what is to run.
        network: as `name@version`.
        priority: of new jobs.
        callback_url: told of the end of each new job.
        request_id: of the request that asks.
    """

    pipeline: str
    network: str
    priority: Priority
    callback_url: str | None
    request_id: str | None

    @property
    def same(self) -> dict[str, str]:
        """Columns that two jobs of a study may not share while both live."""
        version = pipeline_card(self.pipeline).version
        return {
            "pipeline": self.pipeline,
            "pipeline_version": version,
            "network": self.network,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the jobs of a batch stand.

    Attributes:
        counts: jobs in each state.
        fraction: of all their work, 0..1; a job that ended is done, whatever came of it.
    """

    counts: Mapping[State, int]
    fraction: float

    @property
    def total(self) -> int:
        """How many jobs there are."""
        return sum(self.counts.values())

    @property
    def has_ended(self) -> bool:
        """Whether none of them waits or runs."""
        return all(state in FINAL_STATES for state, count in self.counts.items() if count)


# ── Making ────────────────────────────────────────────────────────────────────────────────────


def add_batch(
    session: Session,
    tenant_id: UUID,
    *,
    label: str | None,
    is_open: bool,
    idempotency_key: str | None = None,
    asked_sha256: str | None = None,
) -> BatchRow | None:
    """Make a batch without jobs; None where another request of the same key was first."""
    return session.scalar(
        insert(BatchRow)
        .values(
            id=uuid4(),
            tenant_id=tenant_id,
            label=label,
            idempotency_key=idempotency_key,
            asked_sha256=asked_sha256,
            closed_at=None if is_open else now(),
        )
        .on_conflict_do_nothing()
        .returning(BatchRow)
    )


def fingerprint(asked: Mapping[str, Any]) -> str:
    """Return a hash by which a repeated request is told from another one."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def repeated_batch(
    session: Session, tenant_id: UUID, key: str | None, asked_sha256: str
) -> BatchRow | None:
    """Return the batch that this very request made before, by its idempotency key.

    Raises:
        IdempotencyConflict: the key was used for another request.
    """
    if key is None:
        return None
    batch = session.scalar(_of(tenant_id).where(BatchRow.idempotency_key == key))
    if batch is not None and batch.asked_sha256 != asked_sha256:
        raise IdempotencyConflict(
            f"The idempotency key belongs to batch {batch.id}, which was asked for with other"
            " studies or wishes, expected the same."
        )
    return batch


def submit_studies(
    session: Session,
    batch: BatchRow,
    study_ids: Sequence[UUID],
    wish: Wish,
    *,
    admit: Callable[[int], None],
) -> int:
    """Put a job for each study into a batch, new or the one there is; return how many are new.

    Args:
        session: one transaction: all of them or none.
        batch: a new one.
        study_ids: no two alike.
        wish: what is asked for each.
        admit: called with the number of new jobs; raises what stands in their way.

    Raises:
        UnknownStudy: naming those that there are not, or that are another tenant's.
    """
    slices = slice_counts(session, batch.tenant_id, study_ids)
    ids = _live_jobs(session, slices, wish)
    new = 0
    for _ in range(SUBMIT_TRIES):
        missing = [study_id for study_id in study_ids if study_id not in ids]
        if not missing:
            break
        admit(len(missing))
        made = _insert_jobs(session, batch, {one: slices[one] for one in missing}, wish)
        new += len(made)
        # What was not made, somebody else submitted at this moment.
        ids |= made if len(made) == len(missing) else _live_jobs(session, slices, wish)
    else:
        raise QueueUnavailable("Studies of the batch are being submitted by several callers.")
    _join(session, batch.id, (ids[study_id] for study_id in study_ids))
    return new


def _live_jobs(session: Session, study_ids: Iterable[UUID], wish: Wish) -> dict[UUID, UUID]:
    """Return the jobs that there are already, by study."""
    same = (getattr(JobRow, name) == value for name, value in wish.same.items())
    query = select(JobRow.study_id, JobRow.id).where(
        LIVE, JobRow.study_id.in_(list(study_ids)), *same
    )
    found: dict[UUID, UUID] = dict(session.execute(query).all())
    return found


def _insert_jobs(
    session: Session, batch: BatchRow, slices: Mapping[UUID, int], wish: Wish
) -> dict[UUID, UUID]:
    """Queue a job for each study that nobody else submits at this moment; return them by study."""
    common = {
        "tenant_id": batch.tenant_id,
        "priority": wish.priority,
        "callback_url": wish.callback_url,
        "request_id": wish.request_id,
        **wish.same,
    }
    # They wait in the order asked for, and are inserted in one that two batches of the same studies
    # share, or each would wait for the other.
    begun = now()
    queued_at = {one: begun + timedelta(microseconds=n) for n, one in enumerate(slices)}
    rows = [
        {"study_id": one, "slice_count": slices[one], "queued_at": queued_at[one], **common}
        for one in sorted(slices)
    ]
    statement = insert(JobRow).on_conflict_do_nothing().returning(JobRow.study_id, JobRow.id)
    made: dict[UUID, UUID] = dict(session.execute(statement, rows).all())
    told = {"priority": wish.priority, "batch": str(batch.id)}
    events = [{"job_id": one, "event": "submitted", "detail": told} for one in made.values()]
    if events:
        session.execute(insert(JobEventRow), events)
        jobs = session.scalars(select(JobRow).where(JobRow.id.in_(made.values()))).all()
        keep_estimates(session, jobs)
    return made


def join_batch(session: Session, tenant_id: UUID, batch_id: UUID, job_id: UUID) -> None:
    """Put a job into an open batch; one that is in it already stays in it.

    Raises:
        UnknownBatch: there is none, or it is another tenant's.
        BatchClosed: it takes no more.
    """
    # Shared: uploads do not wait for each other, and who closes the batch waits for them.
    query = _of(tenant_id).where(BatchRow.id == batch_id).with_for_update(read=True)
    _check_open(_found(session, query, batch_id))
    _join(session, batch_id, [job_id])


def check_open(session: Session, tenant_id: UUID, batch_id: UUID) -> None:
    """Make sure that a batch takes more studies, before one is sent.

    Raises:
        UnknownBatch: there is none, or it is another tenant's.
        BatchClosed: it takes no more.
    """
    _check_open(batch_for(session, tenant_id, batch_id))


def _check_open(batch: BatchRow) -> None:
    if batch.closed_at is not None:
        raise BatchClosed(f"Batch {batch.id} is closed since {batch.closed_at:%Y-%m-%d %H:%M} UTC.")


def _join(session: Session, batch_id: UUID, job_ids: Iterable[UUID]) -> None:
    rows = [{"batch_id": batch_id, "job_id": job_id} for job_id in job_ids]
    if rows:
        session.execute(insert(BatchJobRow).on_conflict_do_nothing(), rows)


def close_batch(session: Session, tenant_id: UUID, batch_id: UUID) -> BatchRow:
    """Let no more studies join a batch; return it.

    Raises:
        UnknownBatch: there is none, or it is another tenant's.
    """
    query = _of(tenant_id).where(BatchRow.id == batch_id).with_for_update()
    batch = _found(session, query, batch_id)
    batch.closed_at = batch.closed_at or now()
    return batch


# ── Asking ────────────────────────────────────────────────────────────────────────────────────


def batch_for(session: Session, tenant_id: UUID, batch_id: UUID) -> BatchRow:
    """Return a tenant's batch.

    Raises:
        UnknownBatch: there is none, or it is another tenant's.
    """
    return _found(session, _of(tenant_id).where(BatchRow.id == batch_id), batch_id)


def list_batches(
    session: Session, tenant_id: UUID, chosen: BatchFilter, page: Page
) -> Listing[BatchRow]:
    """Return one page of a tenant's batches.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = narrow(_of(tenant_id), chosen, FILTERS)
    return fetch_page(session, query, page, columns=SORTS, id_column=BatchRow.id)


def standings(session: Session, batch_ids: Iterable[UUID]) -> dict[UUID, Standing]:
    """Return where the jobs of each batch stand."""
    ids = list(batch_ids)
    done = case((JobRow.state.in_(FINAL_STATES), literal(1.0)), else_=JobRow.fraction)
    query = (
        select(BatchJobRow.batch_id, JobRow.state, func.count(), func.sum(done))
        .join(JobRow, JobRow.id == BatchJobRow.job_id)
        .where(BatchJobRow.batch_id.in_(ids))
        .group_by(BatchJobRow.batch_id, JobRow.state)
    )
    found: dict[UUID, dict[State, tuple[int, float]]] = {batch_id: {} for batch_id in ids}
    for batch_id, state, count, share in session.execute(query):
        found[batch_id][state] = (count, share)
    return {batch_id: _standing(parts) for batch_id, parts in found.items()}


def _standing(parts: Mapping[State, tuple[int, float]]) -> Standing:
    total = sum(count for count, _ in parts.values())
    share = sum(share for _, share in parts.values()) / total if total else 0.0
    counts = {state: parts.get(state, (0, 0.0))[0] for state in State}
    return Standing(counts, min(1.0, share))


def time_left_s(session: Session, batch_id: UUID) -> float | None:
    """Return the seconds until the last job of a batch is done; None where nothing is known yet.

    It is that of the job which waits last, or of the running one with the most left to do: of one
    hospital they are served in this order, so the others are done before.
    """
    waits_last = (
        _jobs_of(batch_id, JobRow.state == State.QUEUED)
        .order_by(JobRow.priority_rank.desc(), JobRow.queued_at.desc(), JobRow.id.desc())
        .limit(1)
    )
    left = (1.0 - JobRow.fraction) * JobRow.slice_count
    runs_longest = _jobs_of(batch_id, JobRow.state == State.RUNNING).order_by(left.desc()).limit(1)
    jobs = [*session.scalars(waits_last), *session.scalars(runs_longest)]
    look = survey(session, jobs)
    left_s = [look.outlook(job).eta_s for job in jobs]
    known = [seconds for seconds in left_s if seconds is not None]
    return max(known) if known and len(known) == len(left_s) else None


def jobs_to_cancel(session: Session, batch_id: UUID) -> list[UUID]:
    """Return the jobs of a batch that wait or run, those that wait last first."""
    live = JobRow.state.in_((State.QUEUED, State.RUNNING))
    # Backwards, or a worker would begin one after the other while they are cancelled.
    newest_first = _jobs_of(batch_id, live).order_by(JobRow.queued_at.desc())
    return list(session.scalars(newest_first.with_only_columns(JobRow.id)))


def _jobs_of(batch_id: UUID, condition: ColumnElement[bool]) -> Select[JobRow]:
    in_batch = select(BatchJobRow.job_id).where(BatchJobRow.batch_id == batch_id)
    return select(JobRow).where(JobRow.id.in_(in_batch), condition)


def _of(tenant_id: UUID) -> Select[BatchRow]:
    return select(BatchRow).where(BatchRow.tenant_id == tenant_id)


def _found(session: Session, query: Select[BatchRow], batch_id: UUID) -> BatchRow:
    batch = session.scalar(query.execution_options(populate_existing=True))
    if batch is None:
        raise UnknownBatch(f"There is no batch {batch_id}.")
    return batch
