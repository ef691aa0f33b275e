# SPDX-License-Identifier: Apache-2.0
"""The page of retention: how long studies are kept, which are to go for good, and that they have gone."""

import re
from datetime import UTC, date, datetime, time
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import render_template, request
from werkzeug.wrappers import Response

from api.dashboard.admin.forms import read_limit, read_line, see
from api.dashboard.admin.rights import administered, tenant_chosen
from api.errors import status_of
from api.parts import parts
from api.person import person
from db.asked_purges import begin_purge, carry_on, purges_going_on
from db.proof import prove
from db.purges import NOTHING, Chosen, Preview, Wish, find_purge, list_purges, preview
from db.retention import keep_for
from db.tables import TenantRow, now
from db.tenants import tenants_in
from hilum.errors import InvalidRequest
from hilum.retention import LONGEST_DAYS, kept_since
from hilum.settings import MIB

retention = APIBlueprint("retention", __name__, url_prefix="/retention", enable_openapi=False)

LONGEST_S: Final = 2.0
"""Seconds that a browser waits for a purge; what takes longer goes on by itself, and shows how far it is."""

UID: Final = re.compile(r"[0-9.]{1,64}")


@retention.get("")
def index() -> str:
    """Show how long each hospital keeps its studies, and what has gone."""
    return _index()


@retention.post("/keep")
def keep() -> Response | str | tuple[str, int]:
    """Say how long a hospital's studies are kept; what would go at once is asked about first."""
    try:
        with parts().sessions.begin() as session:
            tenant, days = tenant_chosen(session), read_limit("days")
            going = NOTHING
            if days is not None and days <= LONGEST_DAYS:
                chosen = Chosen(tenant.id, kept_since(days, now()))
                going = preview(session, administered(), chosen)
            if going.studies and not _is_confirmed(tenant):
                return _ask("keep", tenant, going, days=days)
            keep_for(session, tenant, days, by=person().by, address=request.remote_addr)
    except InvalidRequest as error:
        return _index(error=error), status_of(type(error))
    return see("dashboard.admin.retention.index")


@retention.post("/purge")
def remove() -> str | tuple[str, int]:
    """Say what would go; with the name of the hospital typed in, have it go, and show what has."""
    try:
        with parts().sessions.begin() as session:
            tenant, fields = tenant_chosen(session), _fields()
            chosen = Chosen(tenant.id, _before(fields["before"]), fields["study"] or None)
            going = preview(session, administered(), chosen)
        if not going.studies or not _is_confirmed(tenant):
            return _ask("remove", tenant, going, **fields)
    except InvalidRequest as error:
        return _index(error=error), status_of(type(error))
    wish = Wish(chosen, administered(), person().by, address=request.remote_addr)
    with parts().sessions.begin() as session:
        purge_id = begin_purge(session, wish, going).id
    row = carry_on(parts().sessions, parts().store, purge_id, longest_s=LONGEST_S)
    return _index() if row.goes_on else _show_proof(purge_id)


@retention.get("/purges/<uuid:purge_id>/progress")
def progress(purge_id: UUID) -> str:
    """Show how far a purge is, for a page that stays open, and at its end the proof."""
    with parts().sessions.begin() as session:
        row = find_purge(session, administered(), purge_id)
        names = {tenant.id: tenant.name for tenant in tenants_in(session, administered())}
        if row.goes_on:
            return render_template("dashboard/admin/purging.html", row=row, names=names)
        proof = prove(session, parts().store, row)
    return render_template("dashboard/admin/proof.html", proof=proof, proved=row, names=names)


@retention.post("/purges/<uuid:purge_id>/prove")
def look(purge_id: UUID) -> str:
    """Look whether what was purged is gone, and show the answer."""
    return _show_proof(purge_id)


def _show_proof(purge_id: UUID) -> str:
    with parts().sessions.begin() as session:
        row = find_purge(session, administered(), purge_id)
        proof = prove(session, parts().store, row)
    return _index(proof=proof, proved=row)


def _index(**shown: Any) -> str:
    with parts().sessions.begin() as session:
        tenants = tenants_in(session, administered())
        purges = list_purges(session, administered())
        going_on = purges_going_on(session, administered())
    return render_template(
        "dashboard/admin/retention.html",
        tenants=tenants,
        names={tenant.id: tenant.name for tenant in tenants},
        purges=purges,
        going_on=going_on,
        longest_days=LONGEST_DAYS,
        mib=MIB,
        **shown,
    )


def _ask(step: str, tenant: TenantRow, going: Preview, **fields: Any) -> str:
    """Show what would go, and a form that has it go."""
    return render_template(
        "dashboard/admin/going.html",
        address=f"dashboard.admin.retention.{step}",
        tenant=tenant,
        going=going,
        fields=fields,
        is_wrong="confirm" in request.form and not _is_confirmed(tenant),
        mib=MIB,
    )


def _is_confirmed(tenant: TenantRow) -> bool:
    return read_line("confirm", longest=200) == tenant.name


def _fields() -> dict[str, str]:
    """Return which studies the form names.

    Raises:
        InvalidRequest: a field holds something else.
    """
    study = read_line("study", longest=64)
    if study and not UID.fullmatch(study):
        raise InvalidRequest(f"The study is {study!r}, expected a UID of digits and dots.")
    return {"before": read_line("before", longest=10), "study": study}


def _before(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError as error:
        raise InvalidRequest(f"The day is {text!r}, expected one as 2026-11-22.") from error
