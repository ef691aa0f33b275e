# SPDX-License-Identifier: Apache-2.0
"""Lists of cases that somebody keeps under a name."""

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl
from uuid import UUID

from apiflask import APIBlueprint
from flask import redirect, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from api.parts import parts
from api.person import needs, person
from api.schemas.cases import Asked
from db.saved_filters import forget_filter, move_to_front, save_filter
from hilum.errors import InvalidRequest
from hilum.people import Permission

filters = APIBlueprint("filters", __name__, url_prefix="/cases/filters", enable_openapi=False)

LONGEST_NAME: Final = 60
LONGEST_QUERY: Final = 2000


@filters.post("")
@needs(Permission.SEE)
def save() -> Response:
    """Keep a list under a name, and show it."""
    asked = _asked(request.form.get("query", ""))
    with parts().sessions.begin() as session:
        save_filter(session, person().user_id, _name(), asked.query)
    return _list(asked.query)


@filters.post("/<uuid:filter_id>/front")
@needs(Permission.SEE)
def put_first(filter_id: UUID) -> Response:
    """Put one of one's lists before the others."""
    with parts().sessions.begin() as session:
        move_to_front(session, person().user_id, filter_id)
    return _list(_asked(request.form.get("query", "")).query)


@filters.post("/<uuid:filter_id>/forget")
@needs(Permission.SEE)
def forget(filter_id: UUID) -> Response:
    """Keep one of one's lists no longer."""
    with parts().sessions.begin() as session:
        forget_filter(session, person().user_id, filter_id)
    return _list(_asked(request.form.get("query", "")).query)


def _asked(query: str) -> Asked:
    if len(query) > LONGEST_QUERY:
        raise InvalidRequest(
            f"The filter has {len(query)} characters, expected {LONGEST_QUERY} at most."
        )
    return Asked.of(MultiDict(parse_qsl(query)))


def _name() -> str:
    name = " ".join(request.form.get("name", "").split())
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            f"The name has {len(name)} characters, expected 1-{LONGEST_NAME} that can be printed."
        )
    return name


def _list(query: str) -> Response:
    return redirect(f"{url_for('dashboard.cases.index')}?{query}", HTTPStatus.SEE_OTHER)
