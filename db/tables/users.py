# SPDX-License-Identifier: Apache-2.0
"""People who look at the pages, what they may do, and where they are signed in."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now
from db.tables.tenants import TenantRow
from hilum.people import Role


class UserRow(Row):
    """A person."""

    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(unique=True)
    """What they sign in with, in lower case."""
    password: Mapped[str | None]
    """Hash of it, with its own salt and cost; None before they chose one."""
    failures: Mapped[int] = mapped_column(default=0)
    """Wrong passwords since the last right one."""
    locked_until: Mapped[datetime | None]
    invitation_sha256: Mapped[str | None] = mapped_column(unique=True)
    """Of the token in the link that lets them choose a password, once."""
    invited_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    signed_in_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]

    grants: Mapped[list["GrantRow"]] = relationship(
        back_populates="user", cascade="all, delete-orphan", order_by="GrantRow.created_at"
    )


class GrantRow(Row):
    """A role of somebody, in one hospital or in all."""

    __tablename__ = "grants"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    tenant_id: Mapped[UUID | None] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    """None stands for every hospital."""
    role: Mapped[Role]
    created_at: Mapped[datetime] = mapped_column(default=now)

    user: Mapped[UserRow] = relationship(back_populates="grants")
    tenant: Mapped[TenantRow | None] = relationship()

    __table_args__ = (
        Index(
            "uq_grants_user_tenant",
            "user_id",
            "tenant_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )


class SignInRow(Row):
    """Somebody at one browser, until they leave or fall silent."""

    __tablename__ = "sign_ins"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    """Of the token in the browser's cookie."""
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    seen_at: Mapped[datetime] = mapped_column(default=now, index=True)
    """When they last did something themselves, to the minute."""

    user: Mapped[UserRow] = relationship()
