# SPDX-License-Identifier: Apache-2.0
"""The way in and out for people: a name and a password, or a link that opens once."""

import re
from http import HTTPStatus
from typing import Final

from apiflask import APIBlueprint
from flask import g, redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api.errors import status_of
from api.parts import parts
from api.passwords import hash_password, is_right
from api.person import (
    check_form,
    check_origin,
    cookie_name,
    entry_of,
    note,
    person,
    recognise,
)
from db.audit import append
from db.sign_ins import LONGEST, begin_sign_in, end_sign_in
from db.tables import UserRow, now
from db.users import blame, digest, find_user, forgive, invited, new_token, set_password, spend
from hilum.audit import Action
from hilum.errors import InvalidRequest, WrongPassword

door = APIBlueprint("door", __name__, enable_openapi=False)

MOST_TRIES: Final = 20
"""Sign-ins of one address in a minute: a ward behind one address gets in, a list of passwords does not."""

OWN_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path on this server: visible ASCII without a backslash, after one slash."""

LONGEST_FIELD: Final = 256
"""Characters of what is typed in."""


@door.get("/sign-in")
def sign_in() -> str:
    """Ask who is there."""
    recognise()
    # Who leaves has no cookie any more.
    is_over = cookie_name() in request.cookies and g.get("person") is None
    idle_min = parts().settings.idle_min if is_over else None
    return render_template("dashboard/sign_in.html", to=_wanted(), name="", idle_min=idle_min)


@door.post("/sign-in")
def enter() -> Response | tuple[str, int]:
    """Let somebody in who knows their password."""
    check_origin()
    parts().turnstile.count(f"sign-in {request.remote_addr}", most=MOST_TRIES)
    name, password = _field("name"), _field("password")
    try:
        token = _sign_in(name, password)
    except WrongPassword as error:
        page = render_template("dashboard/sign_in.html", to=_wanted(), name=name, error=error)
        return page, status_of(type(error))
    return _let_in(token)


@door.post("/sign-out")
def leave() -> Response:
    """End a sign-in, here and wherever its cookie was copied to."""
    recognise()
    check_form()
    with parts().sessions.begin() as session:
        end_sign_in(session, person().sign_in)
        note(session, Action.SIGNED_OUT)
    answer = _see(url_for("door.sign_in"))
    answer.delete_cookie(cookie_name(), secure=request.is_secure, httponly=True, samesite="Lax")
    # What the browser keeps of patients goes, too.
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


@door.get("/welcome")
def welcome() -> str:
    """Show somebody who was invited what to do; looking at it does not use up the link."""
    return _welcome()


@door.post("/welcome")
def accept() -> Response | tuple[str, int]:
    """Take the password that somebody chose, or none, and let them in this once."""
    check_origin()
    try:
        with parts().sessions.begin() as session:
            user = invited(session, _token())
            is_chosen = "later" not in request.form
            if is_chosen:
                set_password(session, user, _hash_of_new(user.name))
            else:
                _check_new(user)
            spend(user)
            token = _begin(session, user)
            if is_chosen:
                append(session, entry_of(f"user {user.name}", Action.PASSWORD_SET))
    except InvalidRequest as error:
        return _welcome(error), status_of(type(error))
    return _let_in(token)


def _welcome(error: InvalidRequest | None = None) -> str:
    with parts().sessions.begin() as session:
        user = invited(session, _token())
    return render_template(
        "dashboard/welcome.html", user=user, token=_token(), to=_wanted(), error=error
    )


def _token() -> str:
    # In the query, never in the path: paths are logged.
    return request.values.get("token", "")[:LONGEST_FIELD]


def _check_new(user: UserRow) -> None:
    # A link that somebody else made must not open an account unnoticed.
    if user.password is not None:
        raise InvalidRequest("There is a password already: sign in by it, or choose a new one.")


def _hash_of_new(name: str) -> str:
    password = request.form.get("password", "")
    if password != request.form.get("again", ""):
        raise InvalidRequest("The two passwords differ, expected the same twice.")
    return hash_password(password, name=name)


def _sign_in(name: str, password: str) -> str:
    with parts().sessions.begin() as session:
        user = find_user(session, name)
        if user is not None and _may_enter(user) and is_right(password, user.password):
            forgive(user)
            return _begin(session, user)
        if user is None or not _may_enter(user):
            # As long as for somebody who is known: nobody learns who that is.
            is_right(password, None)
            _note_failure(session, user, Action.SIGN_IN_FAILED)
        else:
            is_locked = blame(session, user) is not None
            _note_failure(session, user, Action.LOCKED_OUT if is_locked else Action.SIGN_IN_FAILED)
    raise WrongPassword(
        "Name and password do not belong together, or too many wrong ones were tried: then it"
        " opens again after a while. Whoever administers Hilum can send you a new link."
    )


def _note_failure(session: Session, user: UserRow | None, action: Action) -> None:
    # What was typed as a name may be a password, so a name that is not known is not kept.
    append(session, entry_of(f"user {user.name}" if user else "somebody", action))


def _may_enter(user: UserRow) -> bool:
    is_locked = user.locked_until is not None and user.locked_until > now()
    return user.password is not None and user.disabled_at is None and not is_locked


def _begin(session: Session, user: UserRow) -> str:
    token = new_token()
    begin_sign_in(session, user, digest(token))
    append(session, entry_of(f"user {user.name}", Action.SIGNED_IN))
    return token


def _let_in(token: str) -> Response:
    answer = _see(_wanted() or url_for("dashboard.cases.index"))
    answer.set_cookie(
        cookie_name(),
        token,
        max_age=LONGEST,
        secure=request.is_secure,
        httponly=True,
        # A link in a mail or a report opens for somebody who is signed in.
        samesite="Lax",
    )
    return answer


def _field(name: str) -> str:
    return request.form.get(name, "")[:LONGEST_FIELD]


def _wanted() -> str | None:
    """Return the page that somebody was on the way to, if it is one of ours."""
    asked = request.values.get("to", "")
    # Browsers take `//`, and much that is spelt like it, for another host.
    is_ours = OWN_PATH.fullmatch(asked) is not None
    return asked if is_ours and len(asked) < 2048 else None  # noqa: PLR2004 - as browsers have it


def _see(address: str) -> Response:
    return redirect(address, HTTPStatus.SEE_OTHER)
