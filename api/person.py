# SPDX-License-Identifier: Apache-2.0
"""Who is signed in at the browser that asks, and what they may."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from types import MappingProxyType
from typing import Any, Final, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from flask import g, request
from sqlalchemy.orm import Session
from structlog.contextvars import bind_contextvars

from api.parts import parts
from db.audit import append
from db.scope import EVERYTHING, Scope
from db.sign_ins import find_sign_in
from db.tables import SignInRow
from db.users import digest
from hilum.audit import Action, Entry
from hilum.errors import ForeignForm, NotPermitted, SignInNeeded
from hilum.people import PERMISSIONS, Permission, Role

COOKIE: Final = "hilum"
SECURE_COOKIE: Final = "__Host-hilum"
"""Where the connection is TLS: browsers let no other site of the domain set a cookie of this name."""

FORM_FIELD: Final = "form_token"
FORM_HEADER: Final = "X-Form-Token"
"""Where a form, or a script, shows that it comes from a page of ours."""

POLL_HEADER: Final = "X-Hilum-Poll"
"""On what a page asks by its own clock: nobody need be there."""

THUMBNAIL: Final = "/thumbnail.png"
"""How the addresses of small pictures end; lists load them by the dozen."""

MOST_REQUESTS: Final = 1200
"""Of one person in a minute: several open pages that refresh themselves, and slices that fly by, need less."""

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in.

    Attributes:
        user_id, name: who.
        roles: by hospital; under None in every hospital.
        sign_in: hash of the cookie's token: which browser.
    """

    user_id: UUID
    name: str
    roles: Mapping[UUID | None, Role]
    sign_in: str

    @classmethod
    def of(cls, row: SignInRow) -> Self:
        """Return who is behind a sign-in."""
        roles = {grant.tenant_id: grant.role for grant in row.user.grants}
        return cls(row.user_id, row.user.name, roles, row.sha256)

    @property
    def by(self) -> str:
        """Who acts, as the events of a job and the audit log have it."""
        return f"user {self.name}"

    def scope(self, permission: Permission) -> Scope:
        """Return the hospitals in which they may do something."""
        held = [where for where, role in self.roles.items() if permission in PERMISSIONS[role]]
        return EVERYTHING if None in held else Scope(frozenset(one for one in held if one))

    def may(self, permission: Permission, tenant_id: UUID | None = None) -> bool:
        """Tell whether they may do something in a hospital; without one, anywhere at all."""
        scope = self.scope(permission)
        if tenant_id is None:
            return scope.is_everything or bool(scope.tenant_ids)
        return tenant_id in scope

    def check(self, permission: Permission, tenant_id: UUID | None = None) -> None:
        """Make sure that they may.

        Raises:
            NotPermitted: their role does not allow it.
        """
        if not self.may(permission, tenant_id):
            raise NotPermitted(
                f"Your role does not allow this; it needs the permission to {permission.verb}."
                " Whoever administers Hilum for your hospital can give it."
            )


def person() -> Person:
    """Return who is signed in; a page is not reached without.

    Raises:
        SignInNeeded: nobody is, or they were silent for too long.
    """
    found: Person | None = g.get("person")
    if found is None:
        raise SignInNeeded("Sign in to see this page.")
    return found


def note(
    session: Session,
    action: Action,
    *,
    tenant_id: UUID | None = None,
    subject: object = "",
    detail: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write into the audit log what the one who is signed in does; the last step of a transaction."""
    append(session, entry_of(person().by, action, tenant_id, subject, detail))


def entry_of(
    by: str,
    action: Action,
    tenant_id: UUID | None = None,
    subject: object = "",
    detail: Mapping[str, Any] = MappingProxyType({}),
) -> Entry:
    """Return what the audit log keeps of something that was done from the address that asks."""
    return Entry(by, action, tenant_id, str(subject), detail, request.remote_addr)


def needs(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Guard a view: whoever may not do this in any hospital is told so."""

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*arguments: P.args, **named: P.kwargs) -> R:
            person().check(permission)
            return view(*arguments, **named)

        return guarded

    return guard


def recognise() -> None:
    """Find out who asks, by their cookie, for `person()`.

    Raises:
        TooManyRequests: they have asked as often in a minute as anybody may.
    """
    token = request.cookies.get(cookie_name())
    if not token:
        return
    idle = timedelta(minutes=parts().settings.idle_min)
    # Small pictures come with what a page asks by its clock.
    is_person = POLL_HEADER not in request.headers and not request.path.endswith(THUMBNAIL)
    with parts().sessions.begin() as session:
        row = find_sign_in(session, digest(token), idle=idle, is_person=is_person)
        g.person = Person.of(row) if row else None
    if g.person is not None:
        bind_contextvars(user_id=str(g.person.user_id))
        parts().turnstile.count(f"user {g.person.user_id}", most=MOST_REQUESTS)


def cookie_name() -> str:
    """Return what the cookie is called over this connection."""
    return SECURE_COOKIE if request.is_secure else COOKIE


# ── Forms ─────────────────────────────────────────────────────────────────────────────────────


def form_token() -> str:
    """Return what the forms of this sign-in carry."""
    return seal_of("form")


def seal_of(what: str, said: object = "") -> str:
    """Return what a page of this sign-in carries and nobody makes up.

    Args:
        what: it is for; one is of no use for another.
        said: what it stands for.
    """
    key = parts().settings.secret_key.encode()
    words = f"{what} {person().sign_in} {said}"
    return hmac.new(key, words.encode(), hashlib.sha256).hexdigest()


def check_form() -> None:
    """Make sure that what changes something was sent from a page of this sign-in.

    Raises:
        ForeignForm: it was not.
    """
    if request.method in READING:
        return
    check_origin()
    shown = request.headers.get(FORM_HEADER) or request.form.get(FORM_FIELD, "")
    if not hmac.compare_digest(shown.encode(), form_token().encode()):
        raise ForeignForm("This form is of another sign-in. Open the page again and repeat it.")


def check_origin() -> None:
    """Make sure that a request was not caused by another site, where the browser tells.

    Raises:
        ForeignForm: it was.
    """
    origin = request.headers.get("Origin")
    is_foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"}
    if is_foreign or (origin and urlsplit(origin).netloc != request.host):
        raise ForeignForm("This form was sent from another site. Open Hilum and repeat it there.")
