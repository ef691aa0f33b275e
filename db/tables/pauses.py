# SPDX-License-Identifier: Apache-2.0
"""What people have stopped for a while: the queue, one hospital's share of it, or a worker."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now
from db.tables.tenants import TenantRow


class PauseRow(Row):
    """A queue of which nobody takes a job, until somebody resumes it; what runs goes on."""

    __tablename__ = "pauses"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id"))
    """Whose jobs wait; empty where everybody's do."""
    by: Mapped[str]
    reason: Mapped[str]
    since: Mapped[datetime] = mapped_column(default=now)

    tenant: Mapped[TenantRow | None] = relationship()

    __table_args__ = (
        # There is one for everybody at most, too.
        Index("uq_pauses_tenant", "tenant_id", unique=True, postgresql_nulls_not_distinct=True),
    )


class DrainRow(Row):
    """A worker that was asked to finish its job and take no more; it outlives the processes."""

    __tablename__ = "drains"

    worker: Mapped[str] = mapped_column(primary_key=True)
    """As in `WorkerRow.name`."""
    by: Mapped[str]
    since: Mapped[datetime] = mapped_column(default=now)
