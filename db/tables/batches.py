# SPDX-License-Identifier: Apache-2.0
"""Batches: jobs that were asked for together, or that somebody follows together."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row, now


class BatchRow(Row):
    """Many jobs under one name."""

    __tablename__ = "batches"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    label: Mapped[str | None]
    """What its hospital calls it."""
    idempotency_key: Mapped[str | None]
    asked_sha256: Mapped[str | None]
    """Of what the request with the key asked for; None without a key."""
    created_at: Mapped[datetime] = mapped_column(default=now)
    closed_at: Mapped[datetime | None]
    """Since when no study joins it; None while uploads may."""

    __table_args__ = (
        Index(
            "uq_batches_tenant_idempotency_key",
            "tenant_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        Index("ix_batches_tenant_created", "tenant_id", "created_at", "id"),
        # By the words of its label; see `db/words.py`.
        Index("ix_batches_words", text("words_of(label)"), postgresql_using="gin"),
    )


class BatchJobRow(Row):
    """One job of a batch; the same job may be in several."""

    __tablename__ = "batch_jobs"

    batch_id: Mapped[UUID] = mapped_column(
        ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True
    )
    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True
    )
