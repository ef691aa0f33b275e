# SPDX-License-Identifier: Apache-2.0
"""Archives, and what is on its way to them."""

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


class DestinationRow(Row):
    """An archive that a hospital's results are sent to."""

    __tablename__ = "destinations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    name: Mapped[str]
    address: Mapped[dict[str, Any]]
    """`hilum.destinations.Address`; holds its authorization."""
    contents: Mapped[list[Any]]
    """Which of `hilum.destinations.CONTENTS` it gets."""
    deidentify: Mapped[bool] = mapped_column(default=False)
    """Whether it gets them without the patient, by the policy of its hospital."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    tenant: Mapped[TenantRow] = relationship()

    __table_args__ = (Index("uq_destinations_tenant_name", "tenant_id", "name", unique=True),)


class DeliveryRow(OutgoingRow):
    """What a job left, on its way to one destination."""

    __tablename__ = "deliveries"

    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    destination_id: Mapped[UUID] = mapped_column(
        ForeignKey("destinations.id", ondelete="CASCADE"), index=True
    )
    objects: Mapped[int] = mapped_column(default=0)
    """How many DICOM objects the destination took."""
    deidentification: Mapped[dict[str, Any] | None]
    """What was done to them on their way, by tag; None where they go as they are kept."""

    job: Mapped[JobRow] = relationship()
    destination: Mapped[DestinationRow] = relationship()

    __table_args__ = (
        Index("uq_deliveries_job_destination", "job_id", "destination_id", unique=True),
        Index(
            "ix_deliveries_due", "due_at", postgresql_where=text("state IN ('waiting', 'sending')")
        ),
        # Those that have ended are counted without a look at their rows.
        Index(
            "ix_deliveries_ended",
            "state",
            postgresql_where=text("state NOT IN ('waiting', 'sending')"),
        ),
    )
