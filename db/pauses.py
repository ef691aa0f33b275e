# SPDX-License-Identifier: Apache-2.0
"""A queue that stands still because a person said so: its jobs keep their place and their age.

`db/turns.py` gives none of them a turn; what runs already goes on.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager

from db.scope import EVERYTHING, Scope
from db.tables import PauseRow, TenantRow
from hilum.errors import InvalidRequest

LONGEST_REASON = 200
"""Characters: it is a sentence in a list."""


def pause_queue(session: Session, tenant_id: UUID | None, *, by: str, reason: str) -> bool:
    """Let nobody take a job of a hospital, or of any; False where that is so already.

    Args:
        session: one transaction.
        tenant_id: whose; None means everybody's.
        by: who asks.
        reason: for whoever finds it paused.

    Raises:
        InvalidRequest: the reason is empty, or longer than a sentence.
    """
    reason = reason.strip()
    if not 0 < len(reason) <= LONGEST_REASON:
        raise InvalidRequest(
            f"The reason has {len(reason)} characters, expected 1 to {LONGEST_REASON}."
        )
    values = {"tenant_id": tenant_id, "by": by, "reason": reason}
    added = insert(PauseRow).values(**values).on_conflict_do_nothing().returning(PauseRow.id)
    return session.scalar(added) is not None


def resume_queue(session: Session, tenant_id: UUID | None) -> bool:
    """Let jobs be taken again; False where they were not paused."""
    whose: ColumnElement[bool] = PauseRow.tenant_id.is_not_distinct_from(tenant_id)
    ended = session.scalar(delete(PauseRow).where(whose).returning(PauseRow.id))
    return ended is not None


def list_pauses(session: Session, scope: Scope = EVERYTHING) -> list[PauseRow]:
    """Return what is paused with its hospital: everybody's first, then by name."""
    query = (
        select(PauseRow)
        .outerjoin(PauseRow.tenant)
        .where(or_(PauseRow.tenant_id.is_(None), scope.holds(PauseRow.tenant_id)))
        .order_by(TenantRow.name.asc().nulls_first())
        .options(contains_eager(PauseRow.tenant))
    )
    return list(session.scalars(query))


def all_paused() -> ColumnElement[bool]:
    """Return the condition that nobody's jobs are taken."""
    return exists().where(PauseRow.tenant_id.is_(None))


def is_paused(tenant_id: Any) -> ColumnElement[bool]:
    """Return the condition that the jobs of a hospital, given by its column, are not taken."""
    return or_(all_paused(), exists().where(PauseRow.tenant_id == tenant_id))
