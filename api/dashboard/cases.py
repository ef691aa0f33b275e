# SPDX-License-Identifier: Apache-2.0
"""The page of all cases."""

from apiflask import APIBlueprint
from flask import render_template

from api.parts import parts
from api.person import needs, person
from db.overview import newest_jobs
from hilum.people import Permission

cases = APIBlueprint("cases", __name__, url_prefix="/cases", enable_openapi=False)

NEWEST = 50
"""Cases on the page."""


@cases.get("")
@needs(Permission.SEE)
def index() -> str:
    """List the newest cases."""
    with parts().sessions.begin() as session:
        rows = newest_jobs(session, person().scope(Permission.SEE), NEWEST)
    return render_template("dashboard/cases.html", rows=rows)
