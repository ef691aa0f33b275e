# SPDX-License-Identifier: Apache-2.0
"""The page to send a study from: a folder or a zip goes in by the resumable upload of the API."""

from uuid import UUID

from apiflask import APIBlueprint
from flask import render_template

from api.orders import networks_for
from api.parts import parts
from api.person import needs, person
from db.jobs import job_in
from db.tenants import list_tenants
from hilum.catalogue import CT_LESIONS
from hilum.jobs import Priority
from hilum.people import Permission

send = APIBlueprint("send", __name__, url_prefix="/send", enable_openapi=False)


@send.get("")
@needs(Permission.SEND)
def page() -> str:
    """Show where to drop a study."""
    scope = person().scope(Permission.SEND)
    with parts().sessions.begin() as session:
        hospitals = [tenant for tenant in list_tenants(session) if tenant.id in scope]
    return render_template(
        "dashboard/send.html",
        hospitals=hospitals,
        networks=networks_for(CT_LESIONS.name, parts().settings),
        usual=parts().settings.network,
        priorities=list(Priority),
    )


@send.get("/<uuid:job_id>")
@needs(Permission.SEND)
def answer(job_id: UUID) -> str:
    """Show what the quality gate says of a study that was sent."""
    with parts().sessions.begin() as session:
        job = job_in(session, person().scope(Permission.SEND), job_id)
        series = list(job.study.series)
    return render_template("dashboard/send_answer.html", job=job, series=series)
