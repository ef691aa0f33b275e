# SPDX-License-Identifier: Apache-2.0
"""Every error as one problem document (RFC 9457), and the HTTP status of each."""

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit

import structlog
from apiflask import APIFlask, HTTPError
from flask import Response, json, redirect, render_template, request, url_for
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from structlog.contextvars import get_contextvars
from werkzeug.exceptions import HTTPException

from hilum import errors
from hilum.errors import HilumError

PROBLEM_JSON: Final = "application/problem+json"

PROGRAMS: Final = ("/dicom-web/", "/health/", "/metrics")
"""Addresses that no person opens; archives ask for whatever they can show."""


class TusStatus(IntEnum):
    """A status that tus has and HTTP's registry lacks."""

    CHECKSUM_MISMATCH = 460


Status = HTTPStatus | TusStatus

STATUS: Final[Mapping[type[HilumError], Status]] = {
    # The bytes that were sent.
    errors.UploadError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.EmptyUpload: HTTPStatus.BAD_REQUEST,
    errors.IncompleteUpload: HTTPStatus.BAD_REQUEST,
    errors.ChecksumMismatch: TusStatus.CHECKSUM_MISMATCH,
    errors.NotZip: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.BrokenZip: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.EncryptedZip: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NestedZip: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsafePath: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NoDicom: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NoCtSeries: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.MixedStudies: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.TooManyFiles: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.ZipBomb: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    # A series that cannot be one grid, all alike.
    errors.SeriesError: HTTPStatus.UNPROCESSABLE_ENTITY,
    # What was asked for.
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownPipeline: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownNetwork: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NetworkExists: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnsafeCallback: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyConflict: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownJob: HTTPStatus.NOT_FOUND,
    errors.UnknownStudy: HTTPStatus.NOT_FOUND,
    errors.UnknownReport: HTTPStatus.NOT_FOUND,
    errors.UnknownSlice: HTTPStatus.NOT_FOUND,
    errors.UnknownObject: HTTPStatus.NOT_FOUND,
    errors.FilesGone: HTTPStatus.GONE,
    errors.UnknownTenant: HTTPStatus.NOT_FOUND,
    errors.UnknownKey: HTTPStatus.NOT_FOUND,
    errors.UnknownDestination: HTTPStatus.NOT_FOUND,
    errors.UnknownWebhook: HTTPStatus.NOT_FOUND,
    errors.UnknownWorker: HTTPStatus.NOT_FOUND,
    errors.UnknownDelivery: HTTPStatus.NOT_FOUND,
    errors.WebhookDisabled: HTTPStatus.CONFLICT,
    errors.UnreadableObject: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ReportNotReady: HTTPStatus.CONFLICT,
    errors.NotCancellable: HTTPStatus.CONFLICT,
    errors.NotRetriable: HTTPStatus.CONFLICT,
    errors.NotPrioritisable: HTTPStatus.CONFLICT,
    errors.UnknownBatch: HTTPStatus.NOT_FOUND,
    errors.BatchClosed: HTTPStatus.CONFLICT,
    errors.UnknownUser: HTTPStatus.NOT_FOUND,
    errors.UnknownPurge: HTTPStatus.NOT_FOUND,
    errors.UnknownUpload: HTTPStatus.NOT_FOUND,
    errors.UploadLocked: HTTPStatus.LOCKED,
    errors.OffsetMismatch: HTTPStatus.CONFLICT,
    errors.UploadFailed: HTTPStatus.GONE,
    errors.TooManyUploads: HTTPStatus.TOO_MANY_REQUESTS,
    errors.WrongTusVersion: HTTPStatus.PRECONDITION_FAILED,
    errors.RequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    # Who asked.
    errors.AccessError: HTTPStatus.UNAUTHORIZED,
    errors.WrongInvitation: HTTPStatus.GONE,
    errors.NotPermitted: HTTPStatus.FORBIDDEN,
    errors.ForeignForm: HTTPStatus.FORBIDDEN,
    # The world.
    errors.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.QuotaExceeded: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
    # A running server whose installation changed under it.
    errors.ConfigurationError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of an error, or of the nearest family above it."""

RETRY_AFTER_S: Final[Mapping[type[HilumError], int]] = {
    errors.ReportNotReady: 2,
    errors.UploadLocked: 5,
    errors.TooManyUploads: 60,
    errors.StorageFull: 60,
    errors.QueueOverloaded: 60,
    errors.QuotaExceeded: 60,
    # Nothing that is stored goes by itself.
    errors.TooManyBytes: 3600,
    errors.TransientError: 10,
}
"""How long a client should wait, of the errors that pass and do not know it themselves."""

HTTP_CODE: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: errors.InvalidRequest.code,
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.NOT_ACCEPTABLE: "not_acceptable",
    HTTPStatus.REQUEST_TIMEOUT: "request_timeout",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: errors.UploadTooLarge.code,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.UNPROCESSABLE_ENTITY: errors.InvalidRequest.code,
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal_error",
}
"""Codes of what goes wrong before Hilum's own code is reached."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


def status_of(error: type[HilumError]) -> Status:
    """Return the HTTP status of an error class."""
    return _nearest(STATUS, error, HTTPStatus.INTERNAL_SERVER_ERROR)


def _nearest(table: Mapping[type[HilumError], T], error: type[HilumError], default: T) -> T:
    return next((table[family] for family in error.__mro__ if family in table), default)


def problem(status: Status, *, code: str, title: str, detail: str, fields: Any = None) -> Response:
    """Return a problem document, or a page of the same for who looks at pages.

    Args:
        status: of the response.
        code: for programs, stable.
        title: the same for every problem of this code.
        detail: a sentence about this one.
        fields: what was wrong with each field of the request, where that is known.
    """
    if wants_page():
        page = render_template("error.html", code=code, title=title, detail=detail)
        return Response(page, status, mimetype="text/html")
    document = {
        "type": f"/problems#{code}",
        "title": title,
        "status": status.value,
        "detail": detail,
        "code": code,
        "instance": request.path,
        "request_id": get_contextvars().get("request_id", ""),
    }
    if fields:
        document["errors"] = fields
    return Response(json.dumps(document), status, mimetype=PROBLEM_JSON)


def wants_page() -> bool:
    """Tell whether a request is a browser's for a page; programs get documents."""
    if request.path.startswith(PROGRAMS):
        return False
    accepted = request.accept_mimetypes
    return accepted.best_match([PROBLEM_JSON, "text/html"]) == "text/html"


def handle_errors(app: APIFlask) -> None:
    """Make every error of an app a problem document."""
    app.register_error_handler(HilumError, _hilum_error)
    app.register_error_handler(HTTPError, _invalid)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(DataError, _unkeepable)
    for unreachable in (OperationalError, InterfaceError, PoolTimeout):
        app.register_error_handler(unreachable, _database_error)


def _hilum_error(error: HilumError) -> Response:
    status = status_of(type(error))
    if isinstance(error, errors.SignInNeeded) and wants_page():
        return _to_sign_in()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.error("request.refused", code=error.code, message=error.message)
    response = problem(status, code=error.code, title=error.title, detail=error.message)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = _challenge(error)
    if wait_s := error.wait_s or _nearest(RETRY_AFTER_S, type(error), 0):
        response.headers["Retry-After"] = str(wait_s)
    return response


def _to_sign_in() -> Response:
    if "HX-Request" in request.headers:
        # A part of a page cannot show the way in; htmx opens it as a page.
        way = url_for("door.sign_in", to=_own(request.headers.get("HX-Current-URL", "")))
        return Response(status=204, headers={"HX-Redirect": way})
    if request.method == "GET":
        wanted: str | None = request.full_path.rstrip("?")
    else:
        # What somebody was about to send is not sent for them afterwards: they do it anew.
        wanted = _own(request.referrer or "")
    return cast("Response", redirect(url_for("door.sign_in", to=wanted), HTTPStatus.SEE_OTHER))


def _own(page: str) -> str | None:
    """Return the path of a page of this server; None of any other."""
    try:
        parts = urlsplit(page)
    except ValueError:
        return None
    return (
        urlunsplit(("", "", parts.path, parts.query, "")) if parts.netloc == request.host else None
    )


def _challenge(error: HilumError) -> str:
    invalid = ', error="invalid_token"' if isinstance(error, errors.WrongKey) else ""
    return f'Bearer realm="hilum"{invalid}'


def _invalid(error: HTTPError) -> Response:
    # APIFlask raises this where marshmallow refuses; the detail is {place: {field: [sentences]}}.
    status = HTTPStatus(error.status_code)
    fields = {
        name: _sentences(problems)
        for place in error.detail.values()
        for name, problems in place.items()
    }
    return problem(
        status,
        code=HTTP_CODE[status],
        title=errors.InvalidRequest().title,
        detail=explain(fields) or str(error.message),
        fields=fields,
    )


def explain(fields: Mapping[str, Any]) -> str:
    """Return what is wrong with the fields of a request: marshmallow has a list for each.

    Of fields within a field it has a mapping, by name or by place in a list.
    """
    return " ".join(f"{name}: {_sentences(problems)}" for name, problems in fields.items())


def _sentences(problems: Any) -> str:
    return explain(problems) if isinstance(problems, Mapping) else " ".join(problems)


def _http_error(error: HTTPException) -> Response:
    status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = problem(
        status,
        code=HTTP_CODE.get(status, f"http_{status.value}"),
        title=status.phrase,
        detail=_webargs_detail(error) or error.description or status.phrase,
    )
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After", "Accept"}:
            response.headers[name] = value
    return response


def _webargs_detail(error: HTTPException) -> str:
    # Where a body is no JSON, webargs hangs what it has to say on a plain 400.
    messages: Mapping[str, list[str]] = getattr(error, "data", {}).get("messages", {})
    return " ".join(problem for problems in messages.values() for problem in problems)


def _unkeepable(_error: DataError) -> Response:
    # NUL, which a database keeps in no text, or a number beyond any column.
    return _hilum_error(errors.InvalidRequest("Something in it cannot be kept or looked for."))


def _database_error(error: Exception) -> Response:
    # The driver's message names hosts and may quote values.
    log.error("database.unavailable", error=type(error).__name__)
    return _hilum_error(errors.DatabaseUnavailable())
