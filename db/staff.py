# SPDX-License-Identifier: Apache-2.0
"""Whom somebody may administer: the people of their hospitals, and what may be done with them.

A person's account is one, in whatever hospitals they work. So roles are given hospital by hospital,
and the account itself, its password above all, is for those who administer all of it: whoever could set
the password of somebody with more rights would have these rights.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from sqlalchemy import Select, exists, select
from sqlalchemy.orm import Session, selectinload

from db.scope import Scope
from db.tables import GrantRow, UserRow
from hilum.errors import InvalidRequest, NotPermitted, UnknownUser
from hilum.people import Role


def users_in(session: Session, scope: Scope) -> list[UserRow]:
    """Return everybody with a role in a scope by name, with what they may do anywhere."""
    return list(session.scalars(_visible(scope).order_by(UserRow.name)))


def user_in(session: Session, scope: Scope, user_id: UUID) -> UserRow:
    """Return somebody with a role in a scope.

    Raises:
        UnknownUser: there is nobody with this id, or they have none there.
    """
    user = session.scalar(_visible(scope).where(UserRow.id == user_id))
    if user is None:
        raise UnknownUser(f"There is no user {user_id} that you could change.")
    return user


def _visible(scope: Scope) -> Select[UserRow]:
    query = select(UserRow).options(selectinload(UserRow.grants).joinedload(GrantRow.tenant))
    if scope.is_everything:
        return query
    # A role in every hospital is for those who administer all of them.
    held = exists().where(GrantRow.user_id == UserRow.id, scope.holds(GrantRow.tenant_id))
    return query.where(held)


def grants_in(user: UserRow, scope: Scope) -> list[GrantRow]:
    """Return the roles of somebody that a scope's administrator knows of."""
    return [one for one in user.grants if _is_in(one, scope)]


def is_within(user: UserRow, scope: Scope) -> bool:
    """Whether all that somebody may do is inside a scope, so that their account is its to change."""
    return scope.is_everything or (
        bool(user.grants) and len(grants_in(user, scope)) == len(user.grants)
    )


def check_within(user: UserRow, scope: Scope) -> None:
    """Make sure that a scope's administrator may change somebody's account.

    Raises:
        NotPermitted: they have roles outside.
    """
    if not is_within(user, scope):
        raise NotPermitted(
            f"{user.name} has roles elsewhere, too: only who administers all of them may change"
            " the account. You can change the roles in your hospital."
        )


def _is_in(grant: GrantRow, scope: Scope) -> bool:
    return scope.is_everything or (grant.tenant_id is not None and grant.tenant_id in scope)


@contextmanager
def somebody_stays(session: Session) -> Iterator[None]:
    """Undo what happens in the `with` block where nobody would administer everything after it.

    Raises:
        InvalidRequest: so it would be.
    """
    # Of two who take each other's rights at once, the second waits here and counts again.
    before = session.scalars(_chiefs().with_for_update(of=UserRow)).all()
    yield
    session.flush()
    if before and not session.scalars(_chiefs()).first():
        raise InvalidRequest(
            "Nobody would administer everything any more. Give somebody else that role first,"
            " and let them choose a password."
        )


def _chiefs() -> Select[UUID]:
    """Return the query of those who can come in and administer everything."""
    return (
        select(UserRow.id)
        .join(UserRow.grants)
        .where(
            GrantRow.tenant_id.is_(None),
            GrantRow.role == Role.ADMIN,
            UserRow.disabled_at.is_(None),
            UserRow.password.is_not(None),
        )
        .order_by(UserRow.id)
    )
