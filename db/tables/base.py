# SPDX-License-Identifier: Apache-2.0
"""What every table stands on: its metadata, and how values are kept."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    DateTime,
    Enum,
    MetaData,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from hilum.destinations import DeliveryState
from hilum.jobs import Priority, State
from hilum.people import Role
from hilum.retention import Reason
from hilum.workers import WorkerState


def now() -> datetime:
    """Return the present instant, in UTC."""
    return datetime.now(UTC)


def _as_text(members: type[StrEnum]) -> Enum:
    # A native enum type would need a migration of its own kind for each new member.
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=16,
        values_callable=lambda enum: [member.value for member in enum],
    )


class Row(DeclarativeBase):
    """Base of every table."""

    # Constraints with stable names can be changed by a later migration.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        # A sheet that is absent is NULL, not JSON's null.
        dict[str, Any] | None: JSONB(none_as_null=True),
        list[Any]: JSONB,
        State: _as_text(State),
        Priority: _as_text(Priority),
        DeliveryState: _as_text(DeliveryState),
        WorkerState: _as_text(WorkerState),
        Reason: _as_text(Reason),
        Role: _as_text(Role),
    }
