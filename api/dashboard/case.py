# SPDX-License-Identifier: Apache-2.0
"""The page of one case: how its job stands, what it found, why, and what may be done with it."""

from http import HTTPStatus
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, make_response, redirect, render_template, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as AnyResponse

from api.dashboard.compare import others_than
from api.dashboard.doing import do_as_person, wishes_for
from api.dashboard.feedback import opinions_on
from api.dashboard.patient import Patient
from api.dashboard.reasons import Reasons
from api.dashboard.slices import share_by_slice
from api.dashboard.viewer import viewer_of
from api.dashboard.waterfall import waterfall
from api.orders import networks_for
from api.parts import parts
from api.person import needs, note, person
from api.schemas.actions import Action as Deeds
from db.deliveries import list_deliveries
from db.jobs import job_events, job_in
from db.outlook import look_ahead
from db.reports import report_for
from db.tables import JobRow, ReportRow
from hilum.audit import Action
from hilum.jobs import Priority, State
from hilum.people import Permission

case = APIBlueprint("case", __name__, url_prefix="/cases/<uuid:job_id>", enable_openapi=False)


@case.get("")
@needs(Permission.SEE)
def show(job_id: UUID) -> str:
    """Show a case."""
    with parts().sessions.begin() as session:
        job = _job(session, job_id)
        row = _report(session, job)
        report = row.document if row else None
        patient = Patient.of(job.study) if _may(Permission.KNOW_PATIENTS, job) else None
        shown = {
            "job": job,
            "outlook": look_ahead(session, job),
            "report": report,
            "viewer": viewer_of(row) if row else None,
            "reasons": Reasons.of(session, report) if report else None,
            "shares": share_by_slice(report) if report else [],
            "opinions": opinions_on(session, row) if row else None,
            "others": others_than(session, job_id) if row else None,
            "bars": waterfall(job),
            "events": job_events(session, job_id),
            "deliveries": list_deliveries(session, job_id),
            "series": job.study.series,
            "patient": patient,
        }
        viewed = Action.PATIENT_VIEWED if patient else Action.CASE_VIEWED
        note(session, viewed, tenant_id=job.tenant_id, subject=job_id)
    return render_template(
        "dashboard/case.html",
        may={permission: _may(permission, job) for permission in Permission},
        networks=networks_for(job.pipeline, parts().settings),
        priorities=list(Priority),
        **shown,
    )


@case.get("/status")
@needs(Permission.SEE)
def status(job_id: UUID) -> Response:
    """Show how a case stands that has not ended; once it has, its page is another one."""
    with parts().sessions.begin() as session:
        job = _job(session, job_id)
        outlook = look_ahead(session, job)
    page = render_template("dashboard/case_status.html", job=job, outlook=outlook)
    answer = make_response(page)
    if job.is_final:
        answer.headers["HX-Refresh"] = "true"
    return answer


@case.post("/<any(cancel,retry,prioritise,rerun):deed>")
@needs(Permission.OPERATE)
def do(job_id: UUID, deed: str) -> AnyResponse:
    """Do something with a case, and show what became of it."""
    wanted = Deeds(deed)
    with parts().sessions.begin() as session:
        done = do_as_person(session, wanted, _job(session, job_id), wishes_for(wanted))
    if done.is_due:
        parts().bell.ring()
    return redirect(url_for(".show", job_id=done.made or job_id), HTTPStatus.SEE_OTHER)


def _job(session: Session, job_id: UUID) -> JobRow:
    return job_in(session, person().scope(Permission.SEE), job_id)


def _report(session: Session, job: JobRow) -> ReportRow | None:
    return report_for(session, job.tenant_id, job.id) if job.state is State.SUCCEEDED else None


def _may(permission: Permission, job: JobRow) -> bool:
    return person().may(permission, job.tenant_id)
