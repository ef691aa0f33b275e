# SPDX-License-Identifier: Apache-2.0
"""Where people are signed in: a row for each browser, so that leaving means something."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload, selectinload

from db.tables import GrantRow, SignInRow, UserRow, now

LONGEST: Final = timedelta(hours=12)
"""A sign-in ends after a shift, however busy."""

TOUCHED: Final = timedelta(minutes=1)
"""What somebody does is noted to the minute: not every picture is a write."""


def begin_sign_in(session: Session, user: UserRow, sha256: str) -> None:
    """Sign somebody in; the browser holds the token, this row its hash."""
    user.signed_in_at = now()
    _sweep(session)
    session.add(SignInRow(sha256=sha256, user_id=user.id))


def find_sign_in(
    session: Session, sha256: str, *, idle: timedelta, is_person: bool
) -> SignInRow | None:
    """Return a sign-in that has not ended, with its user and what they may do.

    Args:
        session: one transaction.
        sha256: of the cookie's token.
        idle: after so long without a sign of the person it has ended.
        is_person: whether this request is such a sign, and not the page's own clock.
    """
    moment = now()
    found = session.scalar(
        select(SignInRow)
        .where(
            SignInRow.sha256 == sha256,
            SignInRow.seen_at > moment - idle,
            SignInRow.created_at > moment - LONGEST,
        )
        .options(
            joinedload(SignInRow.user, innerjoin=True)
            .selectinload(UserRow.grants)
            .options(selectinload(GrantRow.tenant))
        )
    )
    if found is None or found.user.disabled_at is not None:
        return None
    if is_person and found.seen_at < moment - TOUCHED:
        found.seen_at = moment
    return found


def end_sign_in(session: Session, sha256: str) -> None:
    """End a sign-in, wherever its cookie may still be."""
    session.execute(delete(SignInRow).where(SignInRow.sha256 == sha256))


def end_all_sign_ins(session: Session, user_id: UUID) -> None:
    """Sign somebody out everywhere."""
    session.execute(delete(SignInRow).where(SignInRow.user_id == user_id))


def _sweep(session: Session) -> None:
    # Those that have ended by themselves: nobody else would ever look at them.
    session.execute(delete(SignInRow).where(SignInRow.seen_at < now() - LONGEST))
