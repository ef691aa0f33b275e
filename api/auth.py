# SPDX-License-Identifier: Apache-2.0
"""Who asks: a hospital by its API key, or a person who is signed in at a page of ours."""

from dataclasses import dataclass
from typing import Final, NoReturn
from uuid import UUID

from apiflask import HTTPError, HTTPTokenAuth
from apiflask.security import APIKeyCookieAuth
from flask import g, request
from sqlalchemy.orm import Session
from structlog.contextvars import bind_contextvars
from werkzeug.datastructures import Authorization

from api.parts import parts
from api.person import (
    COOKIE,
    THUMBNAIL,
    Person,
    check_form,
    cookie_name,
    note,
    person,
    recognise,
)
from db.audit import was_viewed
from db.jobs import job_in
from db.tables import JobRow
from hilum.audit import Action
from hilum.errors import InvalidRequest, MissingKey
from hilum.people import Permission

by_key = HTTPTokenAuth(
    scheme="Bearer", realm="hilum", description="An API key, as `hilum keys new` prints it."
)
"""Guards a view: an API key as bearer token."""


@dataclass(frozen=True, slots=True)
class Access:
    """What the holder of a key may see.

    Attributes:
        tenant_id: the rows of this hospital.
        by: who calls, as the events of a job have it.
    """

    tenant_id: UUID
    by: str


class KeyOrPerson(APIKeyCookieAuth):
    """An API key as bearer token, or the cookie of somebody who is signed in."""

    def get_auth(self) -> Authorization | None:  # type: ignore[override]  # it may be absent, whatever its types say
        """Return what the request carries; a key goes before a cookie."""
        found: Authorization | None = by_key.get_auth()
        if found is None and (token := request.cookies.get(cookie_name())):
            return Authorization("cookie", token=token)
        return found


by_key_or_person = KeyOrPerson(
    name="CookieAuth", param_name=COOKIE, description="The cookie of a browser that is signed in."
)
"""Guards a view that pages show, too: an API key, or a person who is signed in."""


by_key_or_sender = KeyOrPerson(
    name="SenderAuth",
    param_name=COOKIE,
    description="The same cookie, beside a header that says for which hospital somebody sends.",
)
"""Guards a view that takes studies in: an API key, or a person who says for which hospital."""

VIEW: Final = "view"
"""Parameter of the addresses of the viewer; a browser sends the same headers for a link to save."""

SLICES: Final = "slices/"
MONTAGE: Final = "montage.png"
VOLUME: Final = "volume.nii.gz"
MASKS: Final = "masks/"
VOXELS: Final = "volume"
"""What the audit log calls the volume with its masks, which the viewer shows together."""

HOSPITAL: Final = "Hilum-Tenant"
"""Header in which a page says for which hospital somebody sends."""


@by_key.verify_token  # type: ignore[untyped-decorator]  # Flask-HTTPAuth ships no types
def enter(key: str) -> Access:
    """Return what the holder of a key may see; the call counts as one of the hospital's requests.

    Raises:
        WrongKey: the key is not valid.
        TooManyRequests: the hospital has asked as often in a minute as it may.
    """
    known = parts().keys.find(key, parts().sessions)
    bind_contextvars(tenant_id=str(known.tenant_id))
    if known.max_requests is not None:
        parts().turnstile.count(str(known.tenant_id), most=known.max_requests)
    return Access(known.tenant_id, by=f"key {known.label}")


@by_key_or_person.verify_token  # type: ignore[untyped-decorator]  # likewise
def _either(token: str) -> Access | Person:
    if "Authorization" in request.headers:
        found: Access = enter(token)
        return found
    return _person()


@by_key_or_sender.verify_token  # type: ignore[untyped-decorator]  # likewise
def _sender(token: str) -> Access:
    if "Authorization" in request.headers:
        found: Access = enter(token)
        return found
    sender = _person()
    hospital = _hospital()
    sender.check(Permission.SEND, hospital)
    bind_contextvars(tenant_id=str(hospital))
    return Access(hospital, sender.by)


def _person() -> Person:
    recognise()
    check_form()
    return person()


def _hospital() -> UUID:
    try:
        return UUID(request.headers.get(HOSPITAL, ""))
    except ValueError as error:
        raise InvalidRequest(f"The header {HOSPITAL} names no hospital by its id.") from error


def _refuse(_error: HTTPError) -> NoReturn:
    # Asked only where there is nothing to verify: a wrong key or link is refused by name.
    raise MissingKey("Expected an Authorization header `Bearer <API key>`, found none.")


by_key.error_processor(_refuse)
by_key_or_person.error_processor(_refuse)
by_key_or_sender.error_processor(_refuse)


def access() -> Access:
    """Return what the key that was used may see."""
    found: Access = g.flask_httpauth_user
    return found


def caller() -> str:
    """Return who called, as the events of a job have it."""
    return access().by


def tenant_id() -> UUID:
    """Return the hospital whose key was used."""
    return access().tenant_id


def tenant_for(job_id: UUID, *, needs: Permission = Permission.SEE) -> UUID:
    """Return the hospital of a job that the caller may see.

    Raises:
        UnknownJob: there is none, or it is another hospital's.
        NotPermitted: the role of the person does not allow this.
    """
    found: Access | Person = g.flask_httpauth_user
    if isinstance(found, Access):
        return found.tenant_id
    with parts().sessions.begin() as session:
        job = job_in(session, found.scope(Permission.SEE), job_id)
        found.check(needs, job.tenant_id)
        # Small pictures come by the dozen, with a list that is noted itself.
        if not request.path.endswith(THUMBNAIL):
            _note_look(session, found, job)
    return job.tenant_id


def _note_look(session: Session, who: Person, job: JobRow) -> None:
    """Write into the audit log that somebody took something of a case, or saw it for the first time."""
    # An address may have the id in capitals; nothing after it has any.
    what = request.path.lower().partition(str(job.id))[2].lstrip("/") or "report"
    action, detail = Action.DOWNLOADED, {"what": what}
    if what.startswith(SLICES) or (what == MONTAGE and VIEW in request.args):
        if was_viewed(session, who.by, job.id):
            return
        action, detail = Action.CASE_VIEWED, {"part": what}
    elif VIEW in request.args and (what == VOLUME or what.startswith(MASKS)):
        # Whoever has the voxels has them all: that the page was opened does not stand for them.
        if was_viewed(session, who.by, job.id, part=VOXELS):
            return
        action, detail = Action.CASE_VIEWED, {"part": VOXELS}
    note(session, action, tenant_id=job.tenant_id, subject=job.id, detail=detail)
