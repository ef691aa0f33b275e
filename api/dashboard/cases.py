# SPDX-License-Identifier: Apache-2.0
"""The page of all cases: narrowed, sorted and paged by its query string, and live."""

from hmac import compare_digest
from http import HTTPStatus
from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, make_response, render_template, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from api.dashboard.lines import digest_of, lines_of, names_of, note_names, sight
from api.errors import status_of
from api.parts import parts
from api.person import needs, person
from api.schemas.cases import Asked
from db.cases import MOST_COUNTED, Case, Search, count_cases, list_cases, search
from db.choices import hospitals, networks, scanners
from db.pages import Listing
from db.saved_filters import saved_filters
from hilum.catalogue import PIPELINES
from hilum.errors import InvalidRequest
from hilum.grading import Grade, Verdict
from hilum.jobs import Priority, State
from hilum.people import Permission

cases = APIBlueprint("cases", __name__, url_prefix="/cases", enable_openapi=False)

FIXED: Final = {
    "states": list(State),
    "priorities": list(Priority),
    "verdicts": list(Verdict),
    "grades": list(Grade),
    "pipelines": list(PIPELINES),
}
"""What there is to choose from, whatever cases there are."""


@cases.get("")
@needs(Permission.SEE)
def index() -> str | tuple[str, int]:
    """List the cases that were asked for, or say what is wrong with a filter where it can be mended."""
    try:
        asked = Asked.of(request.args)
        with parts().sessions.begin() as session:
            wanted = search(session, sight(), asked.chosen)
            found = list_cases(session, wanted, asked.page)
            shown = _rows(session, asked, wanted, found) | _choices(session)
            note_names(session, found.rows)
    except InvalidRequest as error:
        return _refused(error), status_of(type(error))
    return render_template("dashboard/cases.html", **shown)


@cases.get("/rows")
@needs(Permission.SEE)
def rows() -> Response:
    """List them once more for a page that is open; nothing where it shows them as they are."""
    fields = MultiDict(request.args)
    seen = fields.pop("seen", "")
    asked = Asked.of(fields)
    with parts().sessions.begin() as session:
        wanted = search(session, sight(), asked.chosen)
        found = list_cases(session, wanted, asked.page)
        if digest_of(found.rows) == seen:
            return Response(status=HTTPStatus.NO_CONTENT)
        shown = _rows(session, asked, wanted, found)
        # A bar that moves names nobody whom the list did not name before.
        if not compare_digest(names_of(seen).encode(), names_of(digest_of(found.rows)).encode()):
            note_names(session, found.rows)
    return make_response(render_template("dashboard/cases_rows.html", **shown))


def _rows(session: Session, asked: Asked, wanted: Search, found: Listing[Case]) -> dict[str, Any]:
    is_all = found.next_cursor is None and asked.page.cursor is None
    count = len(found.rows) if is_all else count_cases(session, wanted)
    return {
        "asked": asked,
        "lines": lines_of(found.rows),
        "next_cursor": found.next_cursor,
        "count": f"{min(count, MOST_COUNTED):,}{'+' if count > MOST_COUNTED else ''}",
        "seen": digest_of(found.rows),
        "knows_somebody": person().may(Permission.KNOW_PATIENTS),
    }


def _refused(error: InvalidRequest) -> str:
    with parts().sessions.begin() as session:
        shown = _choices(session)
    return render_template(
        "dashboard/cases.html",
        asked=Asked.as_typed(request.args),
        error=error,
        knows_somebody=person().may(Permission.KNOW_PATIENTS),
        **shown,
    )


def _choices(session: Session) -> dict[str, Any]:
    scope = person().scope(Permission.SEE)
    return {
        **FIXED,
        "hospitals": hospitals(session, scope),
        "networks": networks(session, scope),
        "scanners": scanners(session, scope),
        "saved": saved_filters(session, person().user_id),
    }
