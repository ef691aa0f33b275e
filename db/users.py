# SPDX-License-Identifier: Apache-2.0
"""People who look at the pages: who they are, what they may do, how they come by a password.

Nobody is given a password. A link that works once, for a day, lets them choose one; the same link
is how a forgotten one is replaced.
"""

import hashlib
import re
import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, selectinload

from db.sign_ins import end_all_sign_ins
from db.tables import GrantRow, UserRow, now
from hilum.errors import InvalidRequest, UnknownUser, WrongInvitation
from hilum.people import Role

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
"""What people sign in with: most take their address of mail."""

TOKEN_BYTES: Final = 32
"""Random bytes of a link or a cookie."""

INVITED: Final = timedelta(hours=24)
"""How long a link opens."""

MOST_FAILURES: Final = 5
"""Wrong passwords in a row that lock somebody out."""

LOCKED: Final = timedelta(minutes=15)
"""For how long; each wrong password after that adds as much, up to an hour."""

MOST_ADDED: Final = 4
"""Times: who is kept out by somebody else's guesses gets in within the hour."""


def add_user(session: Session, name: str) -> UserRow:
    """Add a person, who may do nothing yet.

    Raises:
        InvalidRequest: the name is no name to sign in with, or taken.
    """
    name = name.strip().lower()
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name[:64]!r} was given as a name, expected 1-64 letters, digits and . _ @ + -."
        )
    if find_user(session, name) is not None:
        raise InvalidRequest(f"There is a user {name!r} already, expected a new name.")
    user = UserRow(name=name, grants=[])
    session.add(user)
    session.flush()
    return user


def find_user(session: Session, name: str) -> UserRow | None:
    """Return the person of this name, however it is capitalised."""
    name = name.strip().lower()
    if not NAME.fullmatch(name):
        return None
    named = UserRow.name == name
    return session.scalar(select(UserRow).where(named).options(selectinload(UserRow.grants)))


def user_named(session: Session, name: str) -> UserRow:
    """Return the person of this name.

    Raises:
        UnknownUser: there is none.
    """
    user = find_user(session, name)
    if user is None:
        raise UnknownUser(f"There is no user {name[:64]!r}.")
    return user


def list_users(session: Session) -> list[UserRow]:
    """Return everybody by name, with what they may do."""
    roles = selectinload(UserRow.grants).joinedload(GrantRow.tenant)
    return list(session.scalars(select(UserRow).order_by(UserRow.name).options(roles)))


def grant(session: Session, user: UserRow, role: Role | None, tenant_id: UUID | None) -> None:
    """Give somebody a role in a hospital, or in all where it is None; no role takes theirs away."""
    held = next((one for one in user.grants if one.tenant_id == tenant_id), None)
    if held is not None and role is None:
        user.grants.remove(held)
    elif held is not None and role is not None:
        held.role = role
    elif role is not None:
        user.grants.append(GrantRow(tenant_id=tenant_id, role=role))
    session.flush()


def disable(session: Session, user: UserRow, *, disabled: bool) -> None:
    """Keep somebody out from now on, or let them in again."""
    user.disabled_at = now() if disabled else None
    if disabled:
        leave_everywhere(session, user)


def leave_everywhere(session: Session, user: UserRow) -> None:
    """Sign somebody out at every browser, and make the link they may have been sent void."""
    spend(user)
    end_all_sign_ins(session, user.id)


# ── Passwords ─────────────────────────────────────────────────────────────────────────────────


def new_token() -> str:
    """Return a secret that nobody guesses, for a link or a cookie."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def invite(session: Session, user: UserRow) -> str:
    """Return the token of a link that lets somebody choose a password; an earlier one is void."""
    token = new_token()
    user.invitation_sha256 = digest(token)
    user.invited_until = now() + INVITED
    session.flush()
    return token


def invited(session: Session, token: str) -> UserRow:
    """Return whom a link invites.

    Raises:
        WrongInvitation: it was used, is too old, or was not made here.
    """
    user = session.scalar(
        select(UserRow)
        .where(
            UserRow.invitation_sha256 == digest(token),
            UserRow.invited_until > func.now(),
            UserRow.disabled_at.is_(None),
        )
        .with_for_update()
    )
    if user is None:
        raise WrongInvitation(
            "This link was used already, or is older than a day. Ask for another one."
        )
    return user


def spend(user: UserRow) -> None:
    """Make the link of somebody void."""
    user.invitation_sha256 = user.invited_until = None


def set_password(session: Session, user: UserRow, hashed: str) -> None:
    """Keep somebody's new password; their link is spent, and they are signed out everywhere."""
    user.password = hashed
    spend(user)
    forgive(user)
    end_all_sign_ins(session, user.id)


def forgive(user: UserRow) -> None:
    """Forget somebody's wrong passwords."""
    user.failures = 0
    user.locked_until = None


def blame(session: Session, user: UserRow) -> datetime | None:
    """Count a wrong password; return until when they are locked out, if they are."""
    failures = session.scalar(
        update(UserRow)
        .where(UserRow.id == user.id)
        .values(failures=UserRow.failures + 1)
        .returning(UserRow.failures)
    )
    if failures is None or failures < MOST_FAILURES:
        return None
    user.locked_until = now() + LOCKED * min(failures - MOST_FAILURES + 1, MOST_ADDED)
    return user.locked_until


def digest(token: str) -> str:
    """Return what is kept of a random token: 256 bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
