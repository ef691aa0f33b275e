# SPDX-License-Identifier: Apache-2.0
"""The page of the audit log: who did what, as a list and as a file, and whether anybody changed it."""

import hmac
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, render_template, request
from sqlalchemy.orm import Session

from api.dashboard.admin.forms import read_line
from api.dashboard.admin.rights import (
    administered,
    check_administers_everything,
    remember,
)
from api.errors import status_of
from api.exports import Columns, csv_response
from api.parts import parts
from api.person import seal_of
from db.audit import AuditFilter, iterate_entries, list_entries, read_head, verify_on
from db.pages import Page
from db.tenants import tenant_in, tenants_in
from hilum.audit import NOWHERE, Action, Head, Record, canonical
from hilum.errors import InvalidRequest

audit = APIBlueprint("audit", __name__, url_prefix="/audit", enable_openapi=False)

ROWS: Final = 50

LONGEST: Final = 200
"""Characters of a field."""

LONGEST_S: Final = 2.0
"""Seconds that a browser waits for a part of a verification; the page asks for the next by itself."""

GROUPS: Final = tuple(dict.fromkeys(action.partition(".")[0] for action in Action))
"""What actions are done to, in the order of their table."""

COLUMNS: Final[Columns[Record]] = {
    "id": lambda record: record.id,
    "at": lambda record: record.at,
    "by": lambda record: record.entry.by,
    "action": lambda record: record.entry.action,
    "tenant_id": lambda record: record.entry.tenant_id,
    "subject": lambda record: record.entry.subject,
    "detail": lambda record: canonical(record.entry.detail),
    "address": lambda record: record.entry.address,
    "sha256": lambda record: record.sha256,
}
"""Of the file for a spreadsheet; the other one can be verified."""


@audit.get("")
def index() -> str | tuple[str, int]:
    """List the newest entries, or those that a filter chooses."""
    try:
        return _index()
    except InvalidRequest as error:
        return _index(error=error), status_of(type(error))


@audit.get("/export")
def export() -> Response:
    """Write the entries that a filter chooses to a file, the oldest first."""
    scope, sessions = administered(), parts().sessions
    is_table = request.args.get("format") == "csv"
    with sessions.begin() as session:
        chosen = _chosen(session)
        # What was typed into the fields is nobody's business later.
        narrowed = [name for name, value in _asked().items() if value]
        kind = "csv" if is_table else "jsonl"
        remember(session, Action.AUDIT_EXPORTED, kind, None, narrowed_by=narrowed)
    records = iterate_entries(sessions, scope, chosen)
    return csv_response("audit", COLUMNS, records) if is_table else _lines_response(records)


@audit.post("/verify")
def verify() -> str | tuple[str, int]:
    """Look for a while whether every entry is as it was written; show the answer, or how far it is."""
    check_administers_everything()
    try:
        kept = _head("count", "sha256")
        after = _looked_at(kept)
    except InvalidRequest as error:
        return _index(error=error), status_of(type(error))
    with parts().sessions.begin() as session:
        found, is_over = verify_on(session, after, kept, longest_s=LONGEST_S)
        total = read_head(session).count
    if is_over:
        with parts().sessions.begin() as session:
            detail = {"entries": found.count, "is_whole": found.is_whole}
            remember(session, Action.AUDIT_VERIFIED, "", None, **detail)
    look = {
        "found": found,
        "is_over": is_over,
        "total": total,
        "kept": kept,
        "seal": _seal(found.head, kept),
    }
    if "HX-Request" in request.headers:
        return render_template("dashboard/admin/verified.html", **look)
    return _index(look=look)


def _looked_at(kept: Head | None) -> Head:
    """Return where the look ended that the form goes on with; the beginning where it begins one.

    Raises:
        InvalidRequest: it is not what a page of this sign-in was given.
    """
    after = _head("after", "after_sha256")
    if after is None:
        return NOWHERE
    if not hmac.compare_digest(_seal(after, kept), read_line("seal", longest=LONGEST)):
        raise InvalidRequest("This look was begun by another sign-in: begin it anew.")
    return after


def _seal(head: Head, kept: Head | None) -> str:
    """Return what shows that a look got so far: nobody says that a log is whole which they passed by."""
    return seal_of("verified", f"{head} {kept}")


def _index(error: InvalidRequest | None = None, look: Mapping[str, Any] | None = None) -> str:
    is_bare = error is not None or look is not None
    asked = {} if is_bare else _asked()
    with parts().sessions.begin() as session:
        chosen = AuditFilter() if is_bare else _chosen(session)
        cursor = None if is_bare else request.args.get("cursor") or None
        page = Page(cursor=cursor, limit=ROWS, sort="-at")
        listing = list_entries(session, administered(), chosen, page)
        tenants = tenants_in(session, administered())
    return render_template(
        "dashboard/admin/audit.html",
        entries=listing.rows,
        next_cursor=listing.next_cursor,
        asked={name: value for name, value in asked.items() if value},
        tenants=tenants,
        names={tenant.id: tenant.name for tenant in tenants},
        actions=list(Action),
        groups=GROUPS,
        is_everything=administered().is_everything,
        canonical=canonical,
        error=error,
        **(look or {}),
    )


def _asked() -> dict[str, str]:
    """Return the fields of the filter as they were typed, for links and forms.

    Raises:
        InvalidRequest: one is too long, or holds what no keyboard types.
    """
    names = ("by", "action", "subject", "tenant", "since", "until")
    asked = {name: request.args.get(name, "").strip() for name in names}
    for name, value in asked.items():
        if len(value) > LONGEST or not value.isprintable():
            raise InvalidRequest(
                f"The field {name} has {len(value)} characters, expected one line of at most"
                f" {LONGEST}."
            )
    return asked


def _chosen(session: Session) -> AuditFilter:
    asked = _asked()
    if asked["action"] and asked["action"] not in {*Action, *GROUPS}:
        raise InvalidRequest(f"There is no action {asked['action']!r}.")
    return AuditFilter(
        by=asked["by"] or None,
        action=asked["action"] or None,
        subject=asked["subject"] or None,
        tenant_id=_tenant(session, asked["tenant"]),
        since=_midnight(asked, "since", after=0),
        until=_midnight(asked, "until", after=1),
    )


def _tenant(session: Session, text: str) -> UUID | None:
    if not text:
        return None
    try:
        tenant_id = UUID(text)
    except ValueError as error:
        raise InvalidRequest("The field tenant holds no id, expected one of the page.") from error
    return tenant_in(session, administered(), tenant_id).id


def _midnight(asked: Mapping[str, str], name: str, *, after: int) -> datetime | None:
    """Return the beginning of the day in a field, or of the day so many days after it."""
    if not asked[name]:
        return None
    try:
        day = date.fromisoformat(asked[name]) + timedelta(days=after)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"The field {name} is {asked[name]!r}, expected a day as 2026-11-22."
        ) from error
    return datetime.combine(day, time(), UTC)


def _head(number: str, hash_: str) -> Head | None:
    """Return where a log ended, by the names of two fields; None where both are empty.

    Raises:
        InvalidRequest: one is, or there is no such number.
    """
    count, sha256 = (read_line(name, longest=64) for name in (number, hash_))
    if not count and not sha256:
        return None
    is_number = count.isascii() and count.isdigit() and 0 < len(count) <= 18  # noqa: PLR2004 - fits a bigint
    if not is_number or not sha256:
        raise InvalidRequest("Give the number of an entry and its hash together, or neither.")
    return Head(int(count), sha256.lower())


def _lines_response(records: Iterable[Record]) -> Response:
    response = Response(_lines(records), mimetype="application/x-ndjson")
    response.headers["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
    return response


def _lines(records: Iterable[Record]) -> Iterator[str]:
    for record in records:
        yield f"{canonical(record.to_json())}\n"
