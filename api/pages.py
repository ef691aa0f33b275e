# SPDX-License-Identifier: Apache-2.0
"""Plain pages for people: how the system is, how a job stands, what it found.

Without a key the status page tells of the system alone. A key, typed into its form, opens the list
of its tenant by a signed link; every link a page carries is signed likewise and ends with the hour.
"""

from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from api.auth import enter, enter_by_link
from api.errors import status_of
from api.health import find_troubles
from api.links import LINK_S, Access
from api.parts import parts
from db.feed import Feed
from db.jobs import job_for
from db.outlook import look_ahead
from db.overview import count_jobs, newest_jobs
from db.reports import report_for
from db.tables import JobRow
from hilum import __version__
from hilum.errors import HilumError, MissingKey
from hilum.jobs import Stage, State

pages = APIBlueprint("pages", __name__, enable_openapi=False)

NEWEST: Final = 25
"""Jobs on the status page."""

LONGEST_KEY: Final = 128
"""Characters of a key that is typed in."""


@pages.context_processor
def _always() -> dict[str, Any]:
    return {"version": __version__, "minutes": LINK_S // 60}


@pages.get("/")
def status() -> str:
    """Show how the system is, and with a link the newest jobs of a tenant."""
    token = request.args.get("token", "")
    access = enter_by_link(token) if token else None
    if access is not None:
        access.check_all_jobs()
    tenant_id = access.tenant_id if access else None
    troubles = find_troubles(parts())
    counts: dict[State, int] = {}
    newest: list[Any] = []
    position = 0
    if "database" not in troubles:
        with parts().sessions.begin() as session:
            # Before the jobs: what happens while they are read is told by the stream, too.
            position = Feed.begin(session).position if tenant_id else 0
            counts = count_jobs(session, tenant_id)
            newest = newest_jobs(session, tenant_id, NEWEST) if tenant_id else []
    return render_template(
        "status.html",
        troubles=troubles,
        counts=counts,
        jobs=[(job, report, _page_of(job)) for job, report in newest],
        signed=tenant_id is not None,
        position=position,
        token=token,
    )


@pages.post("/")
def open_list() -> Response:
    """Turn a key into a link to the list of its tenant."""
    key = request.form.get("key", "").strip()[:LONGEST_KEY]
    if not key:
        raise MissingKey("The form holds no key.")
    token = parts().links.token(enter(key).tenant_id)
    return redirect(url_for("pages.status", token=token), 303)


@pages.get("/jobs/<uuid:job_id>")
def job(job_id: UUID) -> str:
    """Show how a job stands, and what it found."""
    token = request.args.get("token", "")
    access = _access(token)
    access.check_job(job_id)
    with parts().sessions.begin() as session:
        row = job_for(session, access.tenant_id, job_id)
        outlook = look_ahead(session, row)
        succeeded = row.state is State.SUCCEEDED
        report = report_for(session, access.tenant_id, job_id).document if succeeded else None
    return render_template(
        "job.html",
        job=row,
        place=outlook.place,
        eta_s=outlook.eta_s,
        report=report,
        token=token,
        # The database keeps a document's keys in an order of its own.
        stages=list(Stage),
    )


@pages.get("/problems")
def problems() -> str:
    """List every error by its code."""
    families = sorted(_all_errors(HilumError), key=lambda error: (status_of(error), error.code))
    listed = [(error.code, status_of(error), error().title) for error in families]
    return render_template("problems.html", problems=listed)


def _all_errors(family: type[HilumError]) -> list[type[HilumError]]:
    below = [error for child in family.__subclasses__() for error in _all_errors(child)]
    return below or ([family] if status_of(family) else [])


def _access(token: str) -> Access:
    if not token:
        raise MissingKey("This page opens by the link that a job carries.")
    return enter_by_link(token)


def _page_of(row: JobRow) -> str:
    token = parts().links.token(row.tenant_id, row.id)
    return url_for("pages.job", job_id=row.id, token=token)


@pages.errorhandler(HilumError)
def _explain(error: HilumError) -> tuple[str, int]:
    return render_template("error.html", error=error), status_of(type(error))
