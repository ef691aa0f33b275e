# SPDX-License-Identifier: Apache-2.0
"""Lists of cases that somebody comes back to."""

from uuid import UUID, uuid4

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Row


class SavedFilterRow(Row):
    """A filter of cases under a name of somebody's own."""

    __tablename__ = "saved_filters"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str]
    query: Mapped[str]
    """The query string of the list, without the page."""
    position: Mapped[int]
    """Among the others of its owner, from 0."""

    __table_args__ = (Index("uq_saved_filters_user_name", "user_id", "name", unique=True),)
