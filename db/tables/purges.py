# SPDX-License-Identifier: Apache-2.0
"""What was purged: how much, and what is needed to look whether it is gone."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row, now
from hilum.retention import Reason


class PurgeRow(Row):
    """One purge: what somebody asked for at once, or what was past its time on one day."""

    __tablename__ = "purges"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    by: Mapped[str]
    reason: Mapped[Reason]
    before: Mapped[datetime | None]
    """What was received before then; None where a study was named."""
    at: Mapped[datetime] = mapped_column(default=now)
    """When it began."""
    studies: Mapped[int] = mapped_column(default=0)
    jobs: Mapped[int] = mapped_column(default=0)
    files: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str] = mapped_column(default="")
    """Over the sorted content hashes of the studies."""
    wanted: Mapped[int | None]
    """Studies that were to go when a page asked for it; None once it is over, and of any other purge."""
    study_uid: Mapped[str | None]
    """Which study was named; kept until it is over."""
    address: Mapped[str | None]
    """From which network address it was asked for; likewise."""

    __table_args__ = (
        Index("ix_purges_tenant_at", "tenant_id", "at", "id"),
        Index("ix_purges_going_on", "at", "id", postgresql_where=text("wanted IS NOT NULL")),
    )

    @property
    def goes_on(self) -> bool:
        """Whether it is not over."""
        return self.wanted is not None


class PurgedRow(Row):
    """One study that went: ids and hashes, nothing that leads to a patient."""

    __tablename__ = "purged"

    purge_id: Mapped[UUID] = mapped_column(
        ForeignKey("purges.id", ondelete="CASCADE"), primary_key=True
    )
    study_id: Mapped[UUID] = mapped_column(primary_key=True)
    content_sha256: Mapped[str]
    folder_sha256: Mapped[str]
    """Of the purge's id and the name of the folder that the store had for the study's UID."""
    job_ids: Mapped[list[Any]]
