# SPDX-License-Identifier: Apache-2.0
"""Lists of cases as files: CSV for programs, a workbook for people."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, request
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from api.dashboard.bulk import ticked
from api.dashboard.lines import Line, sight
from api.exports import csv_response
from api.parts import parts
from api.person import needs, note, person
from api.schemas.cases import Asked
from api.workbook import workbook_response
from db.cases import CaseFilter, Search, count_by_hospital, iterate_cases, search
from hilum.audit import Action
from hilum.errors import InvalidRequest
from hilum.people import Permission

case_files = APIBlueprint("case_files", __name__, url_prefix="/cases", enable_openapi=False)

Columns = Mapping[str, Callable[[Line], Any]]

COLUMNS: Final[Columns] = {
    "job_id": lambda line: str(line.case.job.id),
    "hospital": lambda line: line.case.tenant,
    "study_uid": lambda line: line.case.study.study_uid,
    "accession_number": lambda line: line.case.study.accession_number,
    "study_date": lambda line: line.case.study.study_date,
    "scanner": lambda line: line.case.row.scanner,
    "received_at": lambda line: line.case.row.received_at,
    "finished_at": lambda line: line.case.row.finished_at,
    "pipeline": lambda line: line.case.row.pipeline,
    "network": lambda line: line.case.row.network,
    "priority": lambda line: str(line.case.row.priority),
    "state": lambda line: str(line.case.row.state),
    "error_code": lambda line: line.case.job.error_code,
    "verdict": lambda line: line.case.row.verdict,
    "grade": lambda line: line.case.row.grade,
    "review": lambda line: line.case.row.review,
    "lesion_share": lambda line: line.case.row.lesion_share,
    "lesion_ml": lambda line: line.case.report and line.case.report.lesion_ml,
    "lung_ml": lambda line: line.case.report and line.case.report.lung_ml,
}

OF_PATIENTS: Final[Columns] = {
    "patient_name": lambda line: line.patient and line.patient.name,
    "patient_id": lambda line: line.patient and line.patient.number,
}
"""For those who know patients somewhere; empty where they do not."""

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
    columns = {**COLUMNS, **OF_PATIENTS} if person().may(Permission.KNOW_PATIENTS) else COLUMNS
    parts().turnstile.count(f"export {person().user_id}", most=MOST_EXPORTS)
    with parts().sessions.begin() as session:
        wanted = search(session, sight(), chosen)
        _note_export(session, form, wanted)
    # Who may see what is settled here: the rest is read when the request has gone.
    found = iterate_cases(parts().sessions, wanted, sort)
    lines = (Line(case, may_act=False) for case in found)
    return FORMATS[form]("cases", columns, lines)


def _note_export(session: Session, form: str, wanted: Search) -> None:
    for tenant_id, count in count_by_hospital(session, wanted).items():
        knows = person().may(Permission.KNOW_PATIENTS, tenant_id)
        detail = {"format": form, "cases": count, "patients": knows}
        note(session, Action.LIST_EXPORTED, tenant_id=tenant_id, subject="list", detail=detail)
