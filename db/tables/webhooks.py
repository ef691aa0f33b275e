# SPDX-License-Identifier: Apache-2.0
"""Servers of hospitals that are told how jobs ended, and what is on its way to them."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now
from db.tables.jobs import JobRow
from db.tables.outgoing import OutgoingRow
from db.tables.tenants import TenantRow


class WebhookRow(Row):
    """A server that a hospital wants told; or, without address, those that its jobs name."""

    __tablename__ = "webhooks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    url: Mapped[str | None]
    """Where to; None in the one row of a hospital that signs for the `callback_url` of its jobs."""
    events: Mapped[list[Any]] = mapped_column(default=list)
    """Which of `hilum.webhooks.EVENTS` it gets; every one, those of later too, where it is empty."""
    secret: Mapped[str]
    """Signs what is sent; kept as it is, for a hash could not sign."""
    old_secret: Mapped[str | None]
    """The one before, which signs beside it."""
    old_secret_until: Mapped[datetime | None]
    """How long it does."""
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    """Why nothing is sent there any more; None where it is."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    tenant: Mapped[TenantRow] = relationship()

    __table_args__ = (
        Index("ix_webhooks_tenant_created", "tenant_id", "created_at", "id"),
        Index(
            "uq_webhooks_tenant_callbacks",
            "tenant_id",
            unique=True,
            postgresql_where=text("url IS NULL"),
        ),
    )


class NoticeRow(OutgoingRow):
    """How a job ended, on its way to one server."""

    __tablename__ = "notices"

    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    host: Mapped[str] = mapped_column(default="")
    """Of the job's own `callback_url`; empty where the webhook has the address."""
    event: Mapped[str]
    body: Mapped[str]
    """What is sent, to the byte. Written as it happened: the job may have moved on since."""
    status: Mapped[int | None]
    """HTTP status of the last answer; None where there was none."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    webhook: Mapped[WebhookRow] = relationship()
    job: Mapped[JobRow] = relationship()

    __table_args__ = (
        Index("ix_notices_webhook_created", "webhook_id", "created_at", "id"),
        Index("ix_notices_due", "due_at", postgresql_where=text("state IN ('waiting', 'sending')")),
        # Those that have ended are counted without a look at their rows.
        Index(
            "ix_notices_ended",
            "state",
            postgresql_where=text("state NOT IN ('waiting', 'sending')"),
        ),
    )
