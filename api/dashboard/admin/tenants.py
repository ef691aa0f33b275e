# SPDX-License-Identifier: Apache-2.0
"""The page of hospitals: who may send studies, how many, and what is done with the names in them."""

from typing import Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import render_template
from werkzeug.wrappers import Response

from api.dashboard.admin.forms import need_line, read_limit, see
from api.dashboard.admin.rights import check_administers_everything, remember
from api.errors import status_of
from api.parts import parts
from db.admission import count_live_jobs, stored_bytes
from db.scope import EVERYTHING
from db.tenants import (
    Quota,
    add_tenant,
    list_tenants,
    policy_of,
    quota_of,
    set_quota,
    tenant_in,
)
from db.titles import titles_of
from hilum.audit import Action
from hilum.errors import InvalidRequest
from hilum.settings import MIB

tenants = APIBlueprint("tenants", __name__, url_prefix="/tenants", enable_openapi=False)
tenants.before_request(check_administers_everything)

LONGEST_NAME: Final = 64


@tenants.get("")
def index() -> str:
    """List hospitals."""
    return _index()


def _index(error: InvalidRequest | None = None) -> str:
    with parts().sessions.begin() as session:
        found = list_tenants(session)
    return render_template("dashboard/admin/tenants.html", tenants=found, mib=MIB, error=error)


@tenants.post("")
def add() -> Response | tuple[str, int]:
    """Add a hospital."""
    try:
        with parts().sessions.begin() as session:
            tenant = add_tenant(session, need_line("name", longest=LONGEST_NAME))
            remember(session, Action.TENANT_ADDED, tenant.name, tenant.id)
    except InvalidRequest as error:
        return _index(error), status_of(type(error))
    return _see(tenant.id)


@tenants.get("/<uuid:tenant_id>")
def show(tenant_id: UUID) -> str:
    """Show a hospital."""
    return _show(tenant_id)


def _show(tenant_id: UUID, error: InvalidRequest | None = None) -> str:
    with parts().sessions.begin() as session:
        tenant = tenant_in(session, EVERYTHING, tenant_id)
        used = Quota(count_live_jobs(session, tenant_id), stored_bytes(session, tenant_id))
        return render_template(
            "dashboard/admin/tenant.html",
            tenant=tenant,
            quota=quota_of(session, tenant_id),
            used=used,
            # Its key never leaves this function: the page asks for the rest.
            policy=policy_of(session, tenant_id),
            titles=titles_of(session, tenant_id),
            mib=MIB,
            error=error,
        )


@tenants.post("/<uuid:tenant_id>/quota")
def limit(tenant_id: UUID) -> Response | tuple[str, int]:
    """Say how much a hospital may have; an empty field sets no limit."""
    try:
        with parts().sessions.begin() as session:
            tenant = tenant_in(session, EVERYTHING, tenant_id)
            size = read_limit("mib")
            quota = Quota(
                read_limit("jobs"), None if size is None else size * MIB, read_limit("requests")
            )
            set_quota(session, tenant.name, quota)
            detail = {"jobs": quota.jobs, "mib": size, "requests": quota.requests}
            remember(session, Action.TENANT_CHANGED, tenant.name, tenant_id, **detail)
    except InvalidRequest as error:
        return _show(tenant_id, error), status_of(type(error))
    return _see(tenant_id)


def _see(tenant_id: UUID) -> Response:
    return see("dashboard.admin.tenants.show", tenant_id=tenant_id)
