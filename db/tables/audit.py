# SPDX-License-Identifier: Apache-2.0
"""What people did."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row


class AuditRow(Row):
    """One entry of the audit log; a trigger refuses to change or remove it."""

    __tablename__ = "audit"

    # Numbered by whoever appends: a sequence would leave gaps where a transaction was rolled back.
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    by: Mapped[str]
    action: Mapped[str]
    tenant_id: Mapped[UUID | None]
    """No foreign key: an entry outlives what it tells of."""
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]
    address: Mapped[str | None]
    previous_sha256: Mapped[str]
    sha256: Mapped[str]

    __table_args__ = (
        Index("ix_audit_at", "at", "id"),
        Index("ix_audit_tenant", "tenant_id", "at", "id"),
        # Names are looked for by how they begin, which an index in a language's order cannot tell.
        Index("ix_audit_by", "by", "at", "id", postgresql_ops={"by": "text_pattern_ops"}),
        Index(
            "ix_audit_action", "action", "at", "id", postgresql_ops={"action": "text_pattern_ops"}
        ),
        Index("ix_audit_subject", "subject", "at", "id"),
    )
