# SPDX-License-Identifier: Apache-2.0
"""Who asks: a hospital by its API key, or a person by a signed link."""

from typing import Final, NoReturn
from uuid import UUID

from apiflask import HTTPError, HTTPTokenAuth
from apiflask.security import APIKeyQueryAuth
from flask import g, request
from structlog.contextvars import bind_contextvars
from werkzeug.datastructures import Authorization

from api.links import Access
from api.parts import parts
from hilum.errors import MissingKey

LINK_PARAMETER: Final = "token"
"""Where a link carries its token."""

by_key = HTTPTokenAuth(
    scheme="Bearer", realm="hilum", description="An API key, as `hilum keys new` prints it."
)
"""Guards a view: an API key as bearer token."""


class KeyOrLink(APIKeyQueryAuth):
    """An API key as bearer token, or the token of a link in the query."""

    def get_auth(self) -> Authorization:
        """Return what the request carries; a link goes before a key."""
        found: Authorization = super().get_auth() if _has_link() else by_key.get_auth()
        return found


by_key_or_link = KeyOrLink(
    name="LinkAuth",
    param_name=LINK_PARAMETER,
    description="The token of a signed link, as `links.page` of a job carries it.",
)
"""Guards a view a person may open in a browser: an API key, or a signed link to the job."""


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
        parts().turnstile.count(known.tenant_id, most=known.max_requests)
    return Access(known.tenant_id, by=f"key {known.label}")


@by_key_or_link.verify_token  # type: ignore[untyped-decorator]  # likewise
def _tenant_of_either(token: str) -> Access:
    found: Access = enter_by_link(token) if _has_link() else enter(token)
    return found


def enter_by_link(token: str) -> Access:
    """Return what the holder of a link may see.

    Raises:
        WrongKey: the link has expired, or was not made here.
    """
    found = parts().links.read(token)
    bind_contextvars(tenant_id=str(found.tenant_id))
    return found


def _has_link() -> bool:
    return LINK_PARAMETER in request.args


def _refuse(_error: HTTPError) -> NoReturn:
    # Asked only where there is nothing to verify: a wrong key or link is refused by name.
    raise MissingKey("Expected an Authorization header `Bearer <API key>`, found none.")


by_key.error_processor(_refuse)
by_key_or_link.error_processor(_refuse)


def access() -> Access:
    """Return what the caller of this request may see."""
    found: Access = g.flask_httpauth_user
    return found


def caller() -> str:
    """Return who called, as the events of a job have it."""
    return access().by


def tenant_id() -> UUID:
    """Return the tenant that called."""
    return access().tenant_id


def tenant_for(job_id: UUID) -> UUID:
    """Return the tenant that called for a job.

    Raises:
        UnknownJob: a link to another job was used.
    """
    access().check_job(job_id)
    return access().tenant_id
