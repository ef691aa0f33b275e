# SPDX-License-Identifier: Apache-2.0
"""The administration: of a hospital for who administers it, of the installation for who administers all."""

from typing import Any, Final

from flask import Blueprint, render_template

from api.dashboard.admin.audit import audit
from api.dashboard.admin.keys import keys
from api.dashboard.admin.retention import retention
from api.dashboard.admin.rights import administered, check_administers
from api.dashboard.admin.tenants import tenants
from api.dashboard.admin.users import users

admin = Blueprint("admin", __name__, url_prefix="/admin")

PAGES: Final = (users, keys, tenants, retention, audit)

SECTIONS: Final = (
    ("dashboard.admin.users.index", "Users", "Who may come in, and what they may do.", False),
    ("dashboard.admin.keys.index", "Keys", "What programs call the HTTP API with.", False),
    ("dashboard.admin.tenants.index", "Hospitals", "Who may send studies, and how many.", True),
    (
        "dashboard.admin.retention.index",
        "Retention",
        "How long studies are kept, and what has gone for good.",
        False,
    ),
    ("dashboard.admin.audit.index", "Audit log", "Who did what, and who looked at what.", False),
)
"""The view, its name, a sentence, and whether it is for those alone who administer everything."""

for _page in PAGES:
    admin.register_blueprint(_page)

admin.before_request(check_administers)


@admin.context_processor
def _furnish() -> dict[str, Any]:
    everything = administered().is_everything
    return {"sections": [one for one in SECTIONS if everything or not one[-1]]}


@admin.get("")
def home() -> str:
    """Say what there is to administer."""
    return render_template("dashboard/admin/home.html")
