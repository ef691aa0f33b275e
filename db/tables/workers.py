# SPDX-License-Identifier: Apache-2.0
"""Processes that run jobs."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Computed, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row, now
from hilum.workers import WorkerState


class WorkerRow(Row):
    """One process that runs jobs, as it last described itself."""

    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    """`host:pid` of the Celery worker; it outlives its process, which is started anew now and then."""
    pid: Mapped[int]
    """Of the process itself."""
    process: Mapped[str] = mapped_column(
        Computed("regexp_replace(name, ':[0-9]+$', '') || ':' || pid::text", persisted=True)
    )
    """Host and process id: a job's `worker`."""
    device: Mapped[str]
    """`cpu`, or `cuda:` and its number."""
    gpu: Mapped[str | None]
    """What the GPU is called."""
    networks: Mapped[list[Any]] = mapped_column(default=list)
    """Those in memory, each `name@version`."""
    version: Mapped[str]
    """Of Hilum."""

    state: Mapped[WorkerState] = mapped_column(default=WorkerState.IDLE)
    job_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("jobs.id", ondelete="SET NULL"), index=True
    )
    """What it runs now."""
    jobs_done: Mapped[int] = mapped_column(default=0)
    """Jobs that it has run, whatever became of them."""

    memory_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Of the process, resident."""
    gpu_memory_used_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Of the whole GPU, whoever uses it; None without a GPU or its driver, like the next two."""
    gpu_memory_total_bytes: Mapped[int | None] = mapped_column(BigInteger)
    gpu_utilisation: Mapped[float | None]
    """Share of the last moment in which the GPU was at work, 0..1."""

    started_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now)
    """Its last heartbeat."""
    stopped_at: Mapped[datetime | None]
    """When it ended in order; one that was killed falls silent instead."""

    __table_args__ = (
        Index("ix_workers_process", "process"),
        Index("ix_workers_name", "name"),
        Index("ix_workers_seen", "seen_at", postgresql_where=text("stopped_at IS NULL")),
    )
