# SPDX-License-Identifier: Apache-2.0
"""The page of figures: how many cases, how fast, how long they wait, why they fail, who agrees."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from apiflask import APIBlueprint
from flask import Response, abort, render_template, request
from marshmallow import ValidationError
from sqlalchemy.orm import Session

from api.dashboard.figures import Figures, Panel
from api.dashboard.panels import LATER, PANELS
from api.dashboard.period import CHOICES, Period
from api.exports import csv_response
from api.lists import NETWORK
from api.parts import parts
from api.person import needs, person
from db.choices import networks
from db.insights import Asked
from db.scope import Scope
from db.tables import TenantRow
from db.tenants import list_tenants
from hilum.catalogue import PIPELINES, pipeline_card
from hilum.errors import InvalidRequest
from hilum.people import Permission

insights = APIBlueprint("insights", __name__, url_prefix="/insights", enable_openapi=False)

FIELDS: Final = ("days", "from", "to", "hospital", "pipeline", "network")
"""What the page may be asked for; an empty one asks nothing."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the page is asked for.

    Attributes:
        asked: which cases.
        period: of which days.
        hospitals: that may be chosen.
        hospital: the one that was; None for all of them.
    """

    asked: Asked
    period: Period
    hospitals: list[TenantRow]
    hospital: TenantRow | None

    @property
    def cases(self) -> dict[str, str]:
        """What a list of the cases that are counted is asked for."""
        asked = {
            "tenant": self.hospital and self.hospital.name,
            "pipeline": self.asked.pipeline,
            "network": self.asked.network,
        }
        return self.period.ends | {name: text for name, text in asked.items() if text}

    @classmethod
    def of(cls, session: Session) -> Self:
        """Read the query of this request.

        Raises:
            InvalidRequest: it asks for what there is not.
            UnknownPipeline: likewise.
        """
        period = Period.of(request.args, ZoneInfo(parts().settings.time_zone))
        scope = person().scope(Permission.SEE)
        hospitals = [tenant for tenant in list_tenants(session) if tenant.id in scope]
        hospital = _hospital(hospitals)
        # Named one by one, hospitals are looked up in an index that begins with them.
        counted = [hospital] if hospital else hospitals
        asked = Asked(
            Scope.of(*(tenant.id for tenant in counted)),
            period.since,
            period.until,
            _pipeline(),
            _network(),
        )
        return cls(asked, period, hospitals, hospital)


@insights.get("")
@needs(Permission.SEE)
def index() -> str:
    """Show the figures of a period."""
    with parts().sessions.begin() as session:
        wanted = Wanted.of(session)
        figures = Figures(session, wanted.asked, wanted.period)
        panels = {name: None if name in LATER else show(figures) for name, show in PANELS.items()}
        known = networks(session, person().scope(Permission.SEE))
    return render_template(
        "dashboard/insights.html",
        wanted=wanted,
        choices=CHOICES,
        pipelines=list(PIPELINES),
        networks=known,
        panels=panels,
        later=LATER,
        query=_query(),
    )


@insights.get("/<name>")
@needs(Permission.SEE)
def panel(name: str) -> str:
    """Show one figure, for a page that is open."""
    found, wanted = _panel(name)
    return render_template(
        "dashboard/insights_panel.html", panel=found, wanted=wanted, query=_query()
    )


@insights.get("/<name>.csv")
@needs(Permission.SEE)
def export(name: str) -> Response:
    """Send the table of one figure as a file."""
    panel, wanted = _panel(name)
    period = wanted.period
    columns = {column.name: _at(place) for place, column in enumerate(panel.columns)}
    return csv_response(f"{panel.name}-{period.first}-{period.last}", columns, panel.rows)


def _panel(name: str) -> tuple[Panel, Wanted]:
    if name not in PANELS:
        abort(404)
    with parts().sessions.begin() as session:
        wanted = Wanted.of(session)
        return PANELS[name](Figures(session, wanted.asked, wanted.period)), wanted


def _query() -> dict[str, str]:
    return {name: request.args[name] for name in FIELDS if request.args.get(name)}


def _at(place: int) -> Callable[[Any], Any]:
    return lambda row: row[place]


def _hospital(hospitals: list[TenantRow]) -> TenantRow | None:
    asked = request.args.get("hospital", "")
    if not asked:
        return None
    for tenant in hospitals:
        if str(tenant.id) == asked:
            return tenant
    raise InvalidRequest("There is no such hospital among those that you may see.")


def _pipeline() -> str | None:
    asked = request.args.get("pipeline", "")
    return pipeline_card(asked).name if asked else None


def _network() -> str | None:
    asked = request.args.get("network", "").strip()
    try:
        return NETWORK(asked) if asked else None
    except ValidationError as error:
        raise InvalidRequest(
            "This names no network, expected a name, or a name, @ and a version."
        ) from error
