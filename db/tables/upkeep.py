# SPDX-License-Identifier: Apache-2.0
"""Processes that keep the queue from losing anything."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row


class UpkeepRow(Row):
    """One `hilum beat`; several do no harm, and none at all is what nobody else would notice."""

    __tablename__ = "upkeep"

    name: Mapped[str] = mapped_column(primary_key=True)
    """`host:pid`."""
    seen_at: Mapped[datetime]
    """When it last kept up."""
