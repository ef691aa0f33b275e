# SPDX-License-Identifier: Apache-2.0
"""QIDO-RS: searching for studies, series and instances (PS3.18 10.6)."""

from collections.abc import Callable, Mapping
from typing import Final

from flask import Response, json, request
from sqlalchemy.orm import Session

from api.auth import by_key, tenant_id
from api.dicomweb import dicomweb
from api.dicomweb.accept import choose_type
from api.dicomweb.objects import check_known
from api.dicomweb.results import Contents, result
from api.dicomweb.search import Level, Query
from api.parts import parts
from db.dicomweb import Results, Search, search_instances, search_series, search_studies

DICOM_JSON: Final = "application/dicom+json"
JSON_TYPES: Final = (DICOM_JSON, "application/json")
"""What a search and metadata come as."""

SEARCHES: Final[Mapping[Level, Callable[[Session, Search], Results]]] = {
    Level.STUDY: search_studies,
    Level.SERIES: search_series,
    Level.INSTANCE: search_instances,
}


@dicomweb.get("/studies")
@dicomweb.auth_required(by_key)
def studies() -> Response:
    """Search for studies."""
    return _answer(Level.STUDY)


@dicomweb.get("/series")
@dicomweb.auth_required(by_key)
def all_series() -> Response:
    """Search for series of any study."""
    return _answer(Level.SERIES)


@dicomweb.get("/instances")
@dicomweb.auth_required(by_key)
def all_instances() -> Response:
    """Search for instances of any study."""
    return _answer(Level.INSTANCE)


@dicomweb.get("/studies/<study_uid>/series")
@dicomweb.auth_required(by_key)
def series_of_study(study_uid: str) -> Response:
    """Search for series of a study."""
    return _answer(Level.SERIES, study_uid)


@dicomweb.get("/studies/<study_uid>/instances")
@dicomweb.auth_required(by_key)
def instances_of_study(study_uid: str) -> Response:
    """Search for instances of a study."""
    return _answer(Level.INSTANCE, study_uid)


@dicomweb.get("/studies/<study_uid>/series/<series_uid>/instances")
@dicomweb.auth_required(by_key)
def instances_of_series(study_uid: str, series_uid: str) -> Response:
    """Search for instances of a series."""
    return _answer(Level.INSTANCE, study_uid, series_uid)


def _answer(level: Level, study_uid: str | None = None, series_uid: str | None = None) -> Response:
    media_type = choose_type(JSON_TYPES)
    query = Query.parse(level, request.args, tenant_id(), study_uid, series_uid)
    with parts().sessions.begin() as session:
        if study_uid is not None:
            check_known(session, study_uid, series_uid)
        results = SEARCHES[level](session, query.search)
        contents = Contents.of(session, query, results)
    found = [result(query, one, contents) for one in results.rows]
    response = Response(json.dumps(found), mimetype=media_type)
    for sentence in [*query.warnings, *_more(query, results)]:
        response.headers.add("Warning", f'299 Hilum "{sentence}"')
    return response


def _more(query: Query, results: Results) -> list[str]:
    if not results.has_more:
        return []
    offset = query.search.offset + len(results.rows)
    return [f"There are more results that can be requested: offset={offset}."]
