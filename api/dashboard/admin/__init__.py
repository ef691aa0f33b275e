# SPDX-License-Identifier: Apache-2.0
"""The administration: of a hospital for who administers it, of the installation for who administers all."""

from http import HTTPStatus
from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, render_template
from sqlalchemy.exc import IntegrityError

from api.dashboard.admin.audit import audit
from api.dashboard.admin.destinations import destinations
from api.dashboard.admin.health import health
from api.dashboard.admin.keys import keys
from api.dashboard.admin.networks import networks
from api.dashboard.admin.retention import retention
from api.dashboard.admin.rights import administered, check_administers
from api.dashboard.admin.tenants import tenants
from api.dashboard.admin.thresholds import thresholds
from api.dashboard.admin.users import users
from api.dashboard.admin.webhooks import webhooks
from api.errors import problem

admin = APIBlueprint("admin", __name__, url_prefix="/admin", enable_openapi=False)

PAGES: Final = (
    users,
    keys,
    destinations,
    webhooks,
    tenants,
    thresholds,
    networks,
    retention,
    audit,
    health,
)

SECTIONS: Final = (
    ("dashboard.admin.users.index", "Users", "Who may come in, and what they may do.", False),
    ("dashboard.admin.keys.index", "Keys", "What programs call the HTTP API with.", False),
    ("dashboard.admin.destinations.index", "Destinations", "Which archives get results.", False),
    ("dashboard.admin.webhooks.index", "Webhooks", "Which servers hear how jobs ended.", False),
    ("dashboard.admin.tenants.index", "Hospitals", "Who may send studies, and how many.", True),
    (
        "dashboard.admin.thresholds.index",
        "Thresholds",
        "By what reports are graded, and what other cuts would change.",
        True,
    ),
    ("dashboard.admin.networks.index", "Networks", "Which there are, and who has them.", True),
    (
        "dashboard.admin.retention.index",
        "Retention",
        "How long studies are kept, and what has gone for good.",
        False,
    ),
    ("dashboard.admin.audit.index", "Audit log", "Who did what, and who looked at what.", False),
    ("dashboard.admin.health.index", "Health", "What works, and what does not.", True),
)
"""The view, its name, a sentence, and whether it is for those alone who administer everything."""

for _page in PAGES:
    admin.register_blueprint(_page)

admin.before_request(check_administers)


@admin.context_processor
def _furnish() -> dict[str, Any]:
    everything = administered().is_everything
    return {"sections": [one for one in SECTIONS if everything or not one[-1]]}


@admin.errorhandler(IntegrityError)
def _met(_error: IntegrityError) -> Response:
    """Say that somebody did the same at the same moment, or this form was sent twice at once."""
    return problem(
        HTTPStatus.CONFLICT,
        code="http_409",
        title="Somebody did the same at the same moment.",
        detail="Nothing was done twice. Open the page again and look whether it is there.",
    )


@admin.get("")
def home() -> str:
    """Say what there is to administer."""
    return render_template("dashboard/admin/home.html")
