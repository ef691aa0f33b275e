# SPDX-License-Identifier: Apache-2.0
"""The page of all cases."""

from flask import Blueprint, render_template

from api.parts import parts
from api.person import needs, person
from db.overview import newest_jobs
from hilum.people import Permission

cases = Blueprint("cases", __name__, url_prefix="/cases")

NEWEST = 50
"""Cases on the page."""


@cases.get("")
@needs(Permission.SEE)
def index() -> str:
    """List the newest cases."""
    with parts().sessions.begin() as session:
        rows = newest_jobs(session, person().scope(Permission.SEE), NEWEST)
    return render_template("dashboard/cases.html", rows=rows)
