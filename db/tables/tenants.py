# SPDX-License-Identifier: Apache-2.0
"""Hospitals, and what is theirs: keys and called titles."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    ForeignKey,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now


class TenantRow(Row):
    """A hospital."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(unique=True)
    deidentification: Mapped[dict[str, Any] | None]
    """`hilum.dicom.deidentify.Policy`, its key among it; None where nobody asked for any."""
    max_jobs: Mapped[int | None]
    """Most that wait or run at a time; None, here and below, sets no limit."""
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    """Most of all its studies together, as they were sent."""
    max_requests: Mapped[int | None]
    """Most in a minute, by all of its keys."""
    keep_days: Mapped[int | None]
    """Days after its arrival that a study goes; None keeps for ever."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class KeyRow(Row):
    """An API key; only its hash is kept, 256 random bits need no slow one."""

    __tablename__ = "keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), index=True
    )
    label: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]

    tenant: Mapped[TenantRow] = relationship()


class TitleRow(Row):
    """An application entity title that a hospital's scanners call."""

    __tablename__ = "titles"

    title: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), index=True
    )
    order: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What is asked of each study: pipeline, network, priority, callback_url."""
    calling: Mapped[list[Any]] = mapped_column(default=list)
    """Titles that may call it; any may where it is empty."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    tenant: Mapped[TenantRow] = relationship()
