# SPDX-License-Identifier: Apache-2.0
"""Around every request: an id, its time, a line in the log, and headers that keep browsers careful."""

import re
import time
from http import HTTPStatus
from typing import Final
from uuid import uuid4

import structlog
from apiflask import APIFlask
from flask import Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from api.errors import HTTP_CODE, problem
from api.metrics import observe_request
from hilum.logs import describe_crash

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""An id a client may choose: it goes into logs and headers."""

NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
OWN_PAGE: Final = (
    f"{NOTHING}; style-src 'self'; img-src 'self'; form-action 'self'; script-src 'self';"
    " connect-src 'self'"
)
POLICIES: Final = {
    "pages": OWN_PAGE,
    "door": OWN_PAGE,
    # NiiVue carries the letters that it draws as a picture in its script; it needs nothing else.
    "dashboard": OWN_PAGE.replace("img-src 'self'", "img-src 'self' data:"),
    # Swagger UI sets styles of its own and carries its icons as data.
    "docs": (
        f"{NOTHING}; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'"
    ),
}
"""Content-Security-Policy by the outermost blueprint; what is no page may load nothing."""

REMEMBER_TLS: Final = "max-age=31536000; includeSubDomains"
"""A browser that came by TLS once never comes without it again, for a year."""

KEPT: Final = frozenset({"static", "docs.asset"})
"""Endpoints without patient data: browsers may keep what they send."""

QUIET: Final = frozenset({"health.live", "health.ready", "scrape.metrics", *KEPT})
"""Endpoints that are asked too often for a line each."""

log = structlog.get_logger(__name__)


def follow_requests(app: APIFlask) -> None:
    """Name, time, log and protect every request of an app."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_forget)
    app.register_error_handler(Exception, _unexpected)


def _begin() -> None:
    clear_contextvars()
    asked = request.headers.get("X-Request-ID", "")
    g.request_id = asked if REQUEST_ID.fullmatch(asked) else uuid4().hex
    g.begun_at = time.perf_counter()
    bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    # The address of a link that invites opens the door, so no other server may be told of it.
    # With `no-referrer`, browsers would send our own forms as of an unknown origin, too.
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Content-Security-Policy"] = _policy(response)
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = REMEMBER_TLS
    if request.endpoint not in KEPT:
        response.headers["Cache-Control"] = "no-store"
    seconds = time.perf_counter() - g.begun_at
    observe_request(request, response.status_code, seconds)
    if request.endpoint not in QUIET:
        _log(response, seconds)
    return response


def _policy(response: Response) -> str:
    # Errors are pages too, wherever they arise.
    usual = OWN_PAGE if response.mimetype == "text/html" else NOTHING
    return POLICIES.get((request.blueprint or "").partition(".")[0], usual)


def _log(response: Response, seconds: float) -> None:
    # The path holds ids alone; the query may hold the token of a link, or a name, and stays out.
    log.info(
        "request",
        method=request.method,
        path=request.path,
        status=response.status_code,
        ms=round(1000 * seconds, 1),
    )


def _forget(_error: BaseException | None) -> None:
    clear_contextvars()


def _unexpected(error: Exception) -> Response:
    log.error("request.failed", **describe_crash(error))
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        code=HTTP_CODE[HTTPStatus.INTERNAL_SERVER_ERROR],
        title=HTTPStatus.INTERNAL_SERVER_ERROR.phrase,
        detail="Something went wrong here; the log has it under this request id.",
    )
