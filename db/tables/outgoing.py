# SPDX-License-Identifier: Apache-2.0
"""What every row has that is on its way out of here, whatever it carries and to whom."""

from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row, now
from hilum.destinations import DeliveryState

OPEN: Final = (DeliveryState.WAITING, DeliveryState.SENDING)
"""What has not ended."""


class OutgoingRow(Row):
    """Something that is sent until it is taken."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    claim: Mapped[UUID | None]
    """Token of the courier that sends it; a late one with another cannot write."""
    began_at: Mapped[datetime] = mapped_column(default=now)
    """When it was asked for; the longer ago, the longer the wait for the next attempt."""
    due_at: Mapped[datetime] = mapped_column(default=now)
    """When it may be taken next; while it is sent, when its courier counts as lost."""
    error: Mapped[str | None]
    """Why the last attempt came to nothing."""
    delivered_at: Mapped[datetime | None]

    @property
    def next_at(self) -> datetime | None:
        """When it is tried next; None once it has ended."""
        return self.due_at if self.state in OPEN else None
