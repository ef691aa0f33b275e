# SPDX-License-Identifier: Apache-2.0
"""The page of one case: how its job stands, and what it found."""

from uuid import UUID

from flask import Blueprint, render_template

from api.parts import parts
from api.person import needs, person
from db.jobs import job_in
from db.outlook import look_ahead
from db.reports import report_for
from hilum.jobs import Stage, State
from hilum.people import Permission

case = Blueprint("case", __name__, url_prefix="/cases/<uuid:job_id>")


@case.get("")
@needs(Permission.SEE)
def show(job_id: UUID) -> str:
    """Show a case."""
    with parts().sessions.begin() as session:
        job = job_in(session, person().scope(Permission.SEE), job_id)
        outlook = look_ahead(session, job)
        succeeded = job.state is State.SUCCEEDED
        report = report_for(session, job.tenant_id, job_id).document if succeeded else None
    return render_template(
        "dashboard/case.html",
        job=job,
        place=outlook.place,
        eta_s=outlook.eta_s,
        report=report,
        # The database keeps a document's keys in an order of its own.
        stages=list(Stage),
    )
