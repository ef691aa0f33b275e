# SPDX-License-Identifier: Apache-2.0
"""The page of health: what works, what does not, and the numbers behind it."""

from collections.abc import Iterator

from apiflask import APIBlueprint
from flask import render_template

from api.dashboard.admin.rights import check_administers_everything
from api.health import find_troubles
from api.parts import Parts, parts
from db.health import check_database, check_upkeep
from db.overview import glance
from hilum.health import (
    Check,
    Health,
    check_certificates,
    check_spool,
    check_usual_network,
)
from hilum.jobs import State

health = APIBlueprint("health", __name__, url_prefix="/health", enable_openapi=False)
health.before_request(check_administers_everything)

ASKED: tuple[str, ...] = ("queue", "disk", "workers")
"""What `GET /health/ready` looks at and nothing else here does."""


@health.get("")
def index() -> str:
    """Show how the installation is."""
    return render_template("dashboard/admin/health.html", **_found())


@health.get("/now")
def now() -> str:
    """Show the same as a part, for the page that stays open."""
    return render_template("dashboard/admin/health_now.html", **_found())


def _found() -> dict[str, object]:
    checks = list(_examine(parts()))
    with parts().sessions.begin() as session:
        seen = glance(session)
    return {
        "checks": checks,
        "worst": _worst(checks),
        "glance": seen,
        "states": list(State),
        "settings": parts().settings,
    }


def _examine(of: Parts) -> Iterator[Check]:
    yield from check_database(of.engine)
    yield from check_upkeep(of.engine)
    troubles = find_troubles(of)
    for name in ASKED:
        found = Health.FAIL if name in troubles else Health.OK
        yield Check(name, found, troubles.get(name, "as expected"))
    yield from check_spool(of.settings)
    yield from check_usual_network(of.settings)
    yield from check_certificates(of.settings)


def _worst(checks: list[Check]) -> Health:
    return max((check.health for check in checks), key=list(Health).index)
