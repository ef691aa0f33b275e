# SPDX-License-Identifier: Apache-2.0
"""The filters that somebody keeps: few, in an order of their own, and nobody else's business."""

from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.tables import SavedFilterRow
from hilum.errors import InvalidRequest

MOST: Final = 30
"""Of one person; more would not be found again among themselves."""


def saved_filters(session: Session, user_id: UUID) -> list[SavedFilterRow]:
    """Return what somebody keeps, in their order."""
    own = select(SavedFilterRow).where(SavedFilterRow.user_id == user_id)
    return list(session.scalars(own.order_by(SavedFilterRow.position, SavedFilterRow.id)))


def save_filter(session: Session, user_id: UUID, name: str, query: str) -> None:
    """Keep a filter, at the end; one of the same name is kept in its place.

    Args:
        session: one transaction.
        user_id: whose.
        name: as they call it.
        query: a query string that the list of cases takes.

    Raises:
        InvalidRequest: they keep as many as they may.
    """
    kept = {row.name for row in saved_filters(session, user_id)}
    if name not in kept and len(kept) >= MOST:
        raise InvalidRequest(f"There are {len(kept)} saved filters, expected {MOST} at most.")
    last = select(func.coalesce(func.max(SavedFilterRow.position) + 1, 0)).where(
        SavedFilterRow.user_id == user_id
    )
    session.execute(
        insert(SavedFilterRow)
        .values(user_id=user_id, name=name, query=query, position=last.scalar_subquery())
        .on_conflict_do_update(index_elements=["user_id", "name"], set_={"query": query})
    )


def move_to_front(session: Session, user_id: UUID, filter_id: UUID) -> None:
    """Put a filter before all others; one that is not theirs, or gone, is passed over."""
    rows = saved_filters(session, user_id)
    for position, row in enumerate(sorted(rows, key=lambda row: row.id != filter_id)):
        row.position = position


def forget_filter(session: Session, user_id: UUID, filter_id: UUID) -> None:
    """Keep a filter no longer; one that is not theirs, or gone already, is passed over."""
    session.execute(
        delete(SavedFilterRow).where(
            SavedFilterRow.id == filter_id, SavedFilterRow.user_id == user_id
        )
    )
