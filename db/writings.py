# SPDX-License-Identifier: Apache-2.0
"""Files on their way into the store: noted before the first byte, forgotten when a row names them.

A process that dies while it writes leaves files that no row knows. They are found by this, and not by
looking through the store, which holds millions of others.
"""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from sqlalchemy import and_, delete, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.clock import from_now
from db.tables import JobRow, WritingRow
from hilum.jobs import State

LONGEST_UPLOAD_S: Final = 6 * 3600.0
"""Storing the largest study on the slowest disk takes less."""

MOST: Final = 100
"""Taken away at a look, so that no look takes long."""


def begin_writing(session: Session, prefix: str, *, claim: UUID | None = None) -> None:
    """Note that files are about to be written.

    Args:
        session: one transaction, committed before the first byte.
        prefix: of their keys.
        claim: token of the attempt that writes; none of an upload.
    """
    session.add(WritingRow(prefix=prefix, claim=claim))


def end_writing(session: Session, prefix: str) -> None:
    """Forget it, in the transaction that names the files, or once they are taken away."""
    ended = delete(WritingRow).where(WritingRow.prefix == prefix)
    # Nobody looks at its row after this; to find it in memory takes longer than to delete it.
    session.execute(ended.execution_options(synchronize_session=False))


def leave_to_upkeep(session: Session, prefixes: Iterable[str]) -> None:
    """Note files that no row names any more, in the transaction that ceases to name them."""
    abandoned_at = {"abandoned_at": func.now()}
    rows = [{"prefix": prefix, "begun_at": func.now()} | abandoned_at for prefix in prefixes]
    session.execute(
        insert(WritingRow)
        .values(rows)
        .on_conflict_do_update(index_elements=[WritingRow.prefix], set_=abandoned_at)
    )


def put_off(session: Session, prefix: str) -> None:
    """Have files that could not be taken away wait as long again as when they were found."""
    session.execute(
        update(WritingRow)
        .where(WritingRow.prefix == prefix)
        .values(abandoned_at=func.now())
        .execution_options(synchronize_session=False)
    )


def abandoned(session: Session, *, grace_s: float) -> list[str]:
    """Return the prefixes of files that nobody will name, and that nobody has written for a while.

    Args:
        session: one transaction.
        grace_s: how long a writer that lost its job may take to notice.
    """
    held = exists().where(JobRow.state == State.RUNNING, JobRow.claim == WritingRow.claim)
    is_over = or_(
        and_(WritingRow.claim.is_not(None), ~held),
        and_(WritingRow.claim.is_(None), WritingRow.begun_at < from_now(-LONGEST_UPLOAD_S)),
    )
    session.execute(
        update(WritingRow)
        .where(WritingRow.abandoned_at.is_(None), is_over)
        .values(abandoned_at=func.now())
        .execution_options(synchronize_session=False)
    )
    old = select(WritingRow.prefix).where(WritingRow.abandoned_at < from_now(-grace_s))
    return list(session.scalars(old.order_by(WritingRow.abandoned_at).limit(MOST)))
