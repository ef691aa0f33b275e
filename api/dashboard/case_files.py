# SPDX-License-Identifier: Apache-2.0
"""Lists of cases as files: CSV for programs, a workbook for people."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from api.dashboard.bulk import ticked
from api.dashboard.lines import sight
from api.dashboard.patient import name_of
from api.exports import csv_response
from api.parts import parts
from api.person import entry_of, needs, person
from api.schemas.cases import Asked
from api.workbook import workbook_response
from db.audit import append
from db.cases import CaseFilter, Search, count_by_hospital, search
from db.exported import ExportedCase, iterate_exported
from db.scope import Scope
from hilum.audit import Action, Entry
from hilum.errors import InvalidRequest
from hilum.people import Permission

case_files = APIBlueprint("case_files", __name__, url_prefix="/cases", enable_openapi=False)

Columns = Mapping[str, Callable[[ExportedCase], Any]]

COLUMNS: Final[Columns] = {
    "job_id": lambda case: str(case.job_id),
    "hospital": lambda case: case.hospital,
    "study_uid": lambda case: case.study_uid,
    "study_date": lambda case: case.study_date,
    "scanner": lambda case: case.scanner,
    "received_at": lambda case: case.received_at,
    "finished_at": lambda case: case.finished_at,
    "pipeline": lambda case: case.pipeline,
    "network": lambda case: case.network,
    "priority": lambda case: str(case.priority),
    "state": lambda case: str(case.state),
    "error_code": lambda case: case.error_code,
    "verdict": lambda case: case.verdict,
    "grade": lambda case: case.grade,
    "review": lambda case: case.review,
    "lesion_share": lambda case: case.lesion_share,
    "lesion_ml": lambda case: case.lesion_ml,
    "lung_ml": lambda case: case.lung_ml,
}

MOST_EXPORTS: Final = 6
"""Files of one person in a minute: a workbook of many cases takes a core for a while."""

FORMATS: Final = {"csv": csv_response, "xlsx": workbook_response}


@case_files.get("/export.<any(csv,xlsx):form>")
@needs(Permission.SEE)
def everything(form: str) -> Response:
    """Send the whole list that was asked for."""
    fields = MultiDict(request.args)
    fields.pop("cursor", None)
    asked = Asked.of(fields)
    return _send(form, asked.chosen, asked.page.sort)


@case_files.post("/export")
@needs(Permission.SEE)
def chosen() -> Response:
    """Send the cases that were ticked."""
    form = request.form.get("format", "")
    if form not in FORMATS:
        raise InvalidRequest(f"{form[:20]!r} is no format, expected {' or '.join(FORMATS)}.")
    return _send(form, CaseFilter(ids=ticked()), "-received")


def _send(form: str, chosen: CaseFilter, sort: str) -> Response:
    columns = {**COLUMNS, **_of_patients(person().scope(Permission.KNOW_PATIENTS))}
    parts().turnstile.count(f"export {person().user_id}", most=MOST_EXPORTS)
    with parts().sessions.begin() as session:
        wanted = search(session, sight(), chosen)
        _note_export(session, form, wanted)
    # Who may see what is settled here: the rest is read when the request has gone.
    found = iterate_exported(parts().sessions, wanted, sort)
    return FORMATS[form]("cases", columns, found)


def _of_patients(known: Scope) -> Columns:
    """Return the columns for those who know patients somewhere; empty where they do not."""
    if known.is_nothing:
        return {}
    return {
        "patient_name": lambda case: (
            name_of(case.patient_name) if case.tenant_id in known else None
        ),
        "patient_id": lambda case: (case.patient_id or "") if case.tenant_id in known else None,
        "accession_number": lambda case: case.accession_number if case.tenant_id in known else None,
    }


def _note_export(session: Session, form: str, wanted: Search) -> None:
    def entry(tenant_id: UUID, count: int) -> Entry:
        knows = person().may(Permission.KNOW_PATIENTS, tenant_id)
        detail = {"format": form, "cases": count, "patients": knows}
        return entry_of(person().by, Action.LIST_EXPORTED, tenant_id, "list", detail)

    counts = count_by_hospital(session, wanted)
    append(session, *(entry(tenant_id, count) for tenant_id, count in counts.items()))
