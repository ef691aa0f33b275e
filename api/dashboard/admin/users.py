# SPDX-License-Identifier: Apache-2.0
"""The page of people: who may come in, what they may do in which hospital, and the link that lets them in."""

from collections.abc import Callable, Mapping
from typing import Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api.dashboard.admin.forms import read_line, see
from api.dashboard.admin.rights import administered, remember, tenant_chosen
from api.errors import status_of
from api.parts import parts
from api.person import person
from db.staff import check_within, grants_in, is_within, somebody_stays, user_in, users_in
from db.tables import UserRow, now
from db.tenants import tenants_in
from db.users import add_user, disable, find_user, forgive, grant, invite, leave_everywhere
from hilum.audit import Action
from hilum.errors import InvalidRequest, NotPermitted
from hilum.people import Role

users = APIBlueprint("users", __name__, url_prefix="/users", enable_openapi=False)

EVERYWHERE: Final = "everywhere"
"""In place of a hospital's id."""

LONGEST_NAME: Final = 64


@users.get("")
def index() -> str:
    """List people."""
    return _index()


def _index(error: InvalidRequest | None = None) -> str:
    with parts().sessions.begin() as session:
        found = [(one, grants_in(one, administered())) for one in users_in(session, administered())]
        tenants = tenants_in(session, administered())
    return render_template(
        "dashboard/admin/users.html",
        users=found,
        tenants=tenants,
        roles=list(Role),
        is_everywhere=administered().is_everything,
        moment_now=now(),
        error=error,
    )


@users.post("")
def add() -> Response | str | tuple[str, int]:
    """Add somebody, and show the link by which they choose a password, this once."""
    try:
        with parts().sessions.begin() as session:
            where, name = _where(session), read_line("name", longest=LONGEST_NAME)
            known = find_user(session, name)
            if known is not None and not known.grants:
                # Whose last role was taken away has an account, and a password, still.
                grant(session, known, _role(), where)
                remember(session, Action.USER_CHANGED, known.name, where, role=_role())
                return _see(known.id)
            user = add_user(session, name)
            grant(session, user, _role(), where)
            link = _link(session, user)
            remember(session, Action.USER_ADDED, user.name, where, role=_role())
    except InvalidRequest as error:
        return _index(error), status_of(type(error))
    return render_template("dashboard/admin/link.html", user=user, link=link)


@users.get("/<uuid:user_id>")
def show(user_id: UUID) -> str:
    """Show somebody."""
    return _show(user_id)


def _show(user_id: UUID, error: InvalidRequest | None = None) -> str:
    with parts().sessions.begin() as session:
        user = user_in(session, administered(), user_id)
        tenants = tenants_in(session, administered())
    return render_template(
        "dashboard/admin/user.html",
        user=user,
        grants=grants_in(user, administered()),
        is_mine=is_within(user, administered()),
        is_me=user.id == person().user_id,
        is_locked=user.locked_until is not None and user.locked_until > now(),
        tenants=tenants,
        roles=list(Role),
        is_everywhere=administered().is_everything,
        error=error,
    )


@users.post("/<uuid:user_id>/role")
def give_role(user_id: UUID) -> Response | tuple[str, int]:
    """Give somebody a role in a hospital, in place of the one they had there, or take it away."""
    role = None if request.form.get("role") == "" else _role()
    try:
        with parts().sessions.begin() as session:
            where = _where(session)
            user = user_in(session, administered(), user_id)
            with somebody_stays(session):
                grant(session, user, role, where)
            remember(session, Action.USER_CHANGED, user.name, where, role=role)
    except InvalidRequest as error:
        return _show(user_id, error), status_of(type(error))
    # Whoever lost their last role here is no longer there to be looked at.
    is_gone = not (administered().is_everything or grants_in(user, administered()))
    return see("dashboard.admin.users.index") if is_gone else _see(user_id)


@users.post("/<uuid:user_id>/link")
def link_(user_id: UUID) -> str:
    """Show a new link for somebody who has no password or forgot it; an earlier one is void."""
    with parts().sessions.begin() as session:
        user = _mine(session, user_id)
        forgive(user)
        link = _link(session, user)
        remember(session, Action.USER_CHANGED, user.name, _home(user), change="link")
    return render_template("dashboard/admin/link.html", user=user, link=link)


@users.post("/<uuid:user_id>/<any(disable,enable,unlock,leave):change>")
def change_account(user_id: UUID, change: str) -> Response | tuple[str, int]:
    """Keep somebody out or let them in again, forgive wrong passwords, or sign them out everywhere."""
    try:
        with parts().sessions.begin() as session:
            user = _mine(session, user_id)
            with somebody_stays(session):
                CHANGES[change](session, user)
            remember(session, Action.USER_CHANGED, user.name, _home(user), change=change)
    except InvalidRequest as error:
        return _show(user_id, error), status_of(type(error))
    return _see(user_id)


def _disable(session: Session, user: UserRow) -> None:
    if user.id == person().user_id:
        raise InvalidRequest("You would keep yourself out. Somebody else can do that for you.")
    disable(session, user, disabled=True)


CHANGES: Final[Mapping[str, Callable[[Session, UserRow], None]]] = {
    "disable": _disable,
    "enable": lambda session, user: disable(session, user, disabled=False),
    "unlock": lambda _, user: forgive(user),
    "leave": leave_everywhere,
}


def _mine(session: Session, user_id: UUID) -> UserRow:
    """Return somebody whose account is theirs to change who asks."""
    user = user_in(session, administered(), user_id)
    check_within(user, administered())
    return user


def _home(user: UserRow) -> UUID | None:
    """Return the one hospital in which somebody has a role: its administrator sees what was done."""
    return user.grants[0].tenant_id if len(user.grants) == 1 else None


def _where(session: Session) -> UUID | None:
    """Return the hospital of a form; None for all of them."""
    if request.form.get("tenant") != EVERYWHERE:
        return tenant_chosen(session).id
    if not administered().is_everything:
        raise NotPermitted("Only who administers every hospital gives a role in every hospital.")
    return None


def _role() -> Role:
    try:
        return Role(request.form.get("role", ""))
    except ValueError as error:
        raise InvalidRequest(f"Expected one of the roles {', '.join(Role)}.") from error


def _link(session: Session, user: UserRow) -> str:
    return url_for("door.welcome", token=invite(session, user), _external=True)


def _see(user_id: UUID) -> Response:
    return see("dashboard.admin.users.show", user_id=user_id)
