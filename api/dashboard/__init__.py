# SPDX-License-Identifier: Apache-2.0
"""The pages that people look at. Whoever comes here is signed in, and every form is one of ours."""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import g, redirect, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from api.dashboard.admin import admin
from api.dashboard.bulk import bulk
from api.dashboard.case import case
from api.dashboard.case_files import case_files
from api.dashboard.cases import cases
from api.dashboard.compare import compare
from api.dashboard.feedback import feedback
from api.dashboard.filters import filters
from api.dashboard.insights import insights
from api.dashboard.queue import queue
from api.dashboard.send import send
from api.person import FORM_FIELD, check_form, form_token, person, recognise
from hilum import __version__
from hilum.people import Permission

dashboard = APIBlueprint("dashboard", __name__, enable_openapi=False)

PAGES: Final = (
    cases,
    filters,
    bulk,
    case_files,
    case,
    compare,
    feedback,
    send,
    queue,
    insights,
    admin,
)
"""A blueprint for each noun."""

MENU: Final = (
    ("dashboard.cases.index", "Cases", Permission.SEE),
    ("dashboard.send.page", "Send", Permission.SEND),
    ("dashboard.queue.index", "Queue", Permission.OPERATE),
    ("dashboard.insights.index", "Insights", Permission.SEE),
    ("dashboard.admin.home", "Admin", Permission.ADMINISTER),
)
"""What the menu leads to: the view, its name, and who has it in their menu."""

for _page in PAGES:
    dashboard.register_blueprint(_page)


@dashboard.before_request
def _admit() -> None:
    recognise()
    person()
    check_form()


@dashboard.app_context_processor
def _furnish() -> dict[str, Any]:
    """Give every template what the layout shows, errors anywhere in the app among them."""
    return {
        "version": __version__,
        "request_id": g.get("request_id"),
        # Absent on what nobody signs in for.
        "person": g.get("person"),
        "menu": MENU,
        "form_token": form_token,
        "csrf": _hidden_token,
        "Permission": Permission,
    }


def _hidden_token() -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(FORM_FIELD, form_token())


@dashboard.get("/")
def home() -> Response:
    """Begin with the cases."""
    return redirect(url_for("dashboard.cases.index"))
