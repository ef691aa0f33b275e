# SPDX-License-Identifier: Apache-2.0
"""Jobs, what happened to them, and the files they wrote."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Sequence,
    SmallInteger,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now
from db.tables.studies import StudyRow
from hilum.jobs import FINAL_STATES, Priority, State

TURNS: Final = Sequence("job_turns", metadata=Row.metadata)
"""Counts the turns that were taken: every few of them go to who has waited longest."""


class JobRow(Row):
    """One run of a pipeline over a study, and where it stands."""

    __tablename__ = "jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), index=True)
    pipeline: Mapped[str]
    pipeline_version: Mapped[str]
    """What it was accepted for; the report says what ran."""
    network: Mapped[str]
    priority: Mapped[Priority]
    priority_rank: Mapped[int] = mapped_column(
        SmallInteger,
        Computed(
            "CASE priority WHEN 'stat' THEN 0 WHEN 'routine' THEN 1 ELSE 2 END", persisted=True
        ),
    )
    """The order in which the queue is served, for its index."""
    state: Mapped[State] = mapped_column(default=State.QUEUED)
    idempotency_key: Mapped[str | None]
    callback_url: Mapped[str | None]

    stage: Mapped[str | None]
    stage_done: Mapped[int] = mapped_column(default=0)
    stage_total: Mapped[int] = mapped_column(default=0)
    fraction: Mapped[float] = mapped_column(default=0.0)
    slice_count: Mapped[int] = mapped_column(default=0)
    """Instances of the largest CT series: what the wait is estimated from."""

    attempts: Mapped[int] = mapped_column(default=0)
    claim: Mapped[UUID | None]
    """Token of the worker that holds the job; a late worker with another one cannot write."""
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    worker: Mapped[str | None]

    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    timings_s: Mapped[dict[str, Any]] = mapped_column(default=dict)

    request_id: Mapped[str | None]
    """Of the request that asked for it: its worker's log carries it too."""

    created_at: Mapped[datetime] = mapped_column(default=now)
    queued_at: Mapped[datetime] = mapped_column(default=now)
    """Since when it waits its turn; another attempt keeps it, a person's retry does not."""
    retry_at: Mapped[datetime | None]
    """Nobody takes it before then: what stood in its way needs time to go."""
    absent_since: Mapped[datetime | None]
    """When a worker first lacked its network; empty where none has since its last attempt."""
    expected_s: Mapped[float | None]
    """From `queued_at` to its end, as estimated then; empty where nothing was known."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    study: Mapped[StudyRow] = relationship()

    __table_args__ = (
        CheckConstraint("fraction BETWEEN 0 AND 1", name="fraction_is_share"),
        Index(
            "uq_jobs_tenant_idempotency_key",
            "tenant_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        # A job that failed or was cancelled does not stand in the way of sending the study again.
        Index(
            "uq_jobs_study_pipeline_version_network",
            "study_id",
            "pipeline",
            "pipeline_version",
            "network",
            unique=True,
            postgresql_where=text("state IN ('queued', 'running', 'succeeded')"),
        ),
        Index("ix_jobs_tenant_created", "tenant_id", "created_at", "id"),
        Index("ix_jobs_tenant_state_created", "tenant_id", "state", "created_at", "id"),
        # The next job of each hospital and urgency is its first entry; finished jobs stay out of it.
        Index(
            "ix_jobs_waiting",
            "tenant_id",
            "priority_rank",
            "queued_at",
            "id",
            postgresql_include=["slice_count"],
            postgresql_where=text("state = 'queued'"),
        ),
        # Which hospital was served longest ago, and how long its jobs had waited.
        Index(
            "ix_jobs_served",
            "tenant_id",
            "started_at",
            postgresql_include=["queued_at", "priority", "pipeline", "network"],
        ),
        # Why jobs failed, few as they are.
        Index(
            "ix_jobs_failures",
            "tenant_id",
            "finished_at",
            "id",
            postgresql_include=["state", "error_code", "pipeline", "network"],
            postgresql_where=text("state IN ('failed', 'quarantined')"),
        ),
        # Since when each is due, for whether anybody takes them.
        Index(
            "ix_jobs_due",
            text("coalesce(retry_at, queued_at)"),
            postgresql_where=text("state = 'queued'"),
        ),
        # Those that have ended are counted without a look at their rows.
        Index(
            "ix_jobs_ended",
            "state",
            postgresql_where=text("state NOT IN ('queued', 'running')"),
        ),
        # The newest of those that went wrong; counted without a look at their rows.
        Index(
            "ix_jobs_troubled",
            "finished_at",
            "id",
            postgresql_include=["tenant_id", "state", "error_code", "pipeline", "network"],
            postgresql_where=text("state IN ('failed', 'quarantined')"),
        ),
        # What was done lately, and by whom, without a look at their rows.
        Index(
            "ix_jobs_done",
            "finished_at",
            postgresql_include=["tenant_id", "worker", "slice_count", "started_at"],
            postgresql_where=text("state = 'succeeded'"),
        ),
        Index("ix_jobs_leases", "lease_until", postgresql_where=text("state = 'running'")),
        Index(
            "ix_jobs_recent",
            "pipeline",
            "network",
            "finished_at",
            postgresql_where=text("state = 'succeeded'"),
        ),
    )

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINAL_STATES


class JobEventRow(Row):
    """One thing that happened to a job; appended, never changed."""

    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    at: Mapped[datetime] = mapped_column(default=now)
    event: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (
        Index("ix_job_events_job", "job_id", "id"),
        # When a job was last taken, by whomever.
        Index("ix_job_events_claims", "at", postgresql_where=text("event = 'running'")),
    )


class ArtifactRow(Row):
    """A file that a job wrote."""

    __tablename__ = "artifacts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str]
    media_type: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("uq_artifacts_job_kind", "job_id", "kind", unique=True),)
