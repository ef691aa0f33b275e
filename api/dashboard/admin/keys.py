# SPDX-License-Identifier: Apache-2.0
"""The page of keys: what programs of a hospital call the HTTP API with."""

from typing import Final
from uuid import UUID, uuid4

from apiflask import APIBlueprint
from flask import render_template
from werkzeug.wrappers import Response

from api.dashboard.admin.forms import need_line, see
from api.dashboard.admin.rights import administered, read_id, remember, tenant_chosen
from api.errors import status_of
from api.keys import REMEMBER_S
from api.parts import parts
from db.tenants import end_key, keys_in, make_key, tenants_in
from hilum.audit import Action
from hilum.errors import InvalidRequest

keys = APIBlueprint("keys", __name__, url_prefix="/keys", enable_openapi=False)

LONGEST_LABEL: Final = 64


@keys.get("")
def index() -> str:
    """List keys by label, never the keys themselves."""
    return _index()


def _index(error: InvalidRequest | None = None) -> str:
    with parts().sessions.begin() as session:
        found = keys_in(session, administered())
        tenants = tenants_in(session, administered())
    return render_template(
        "dashboard/admin/keys.html",
        keys=found,
        tenants=tenants,
        # The id of the key that this form makes: sent twice, it makes one.
        new_id=uuid4(),
        revoked_s=REMEMBER_S,
        error=error,
    )


@keys.post("")
def make() -> str | tuple[str, int]:
    """Make a key and show it, this once: the database keeps only its hash."""
    try:
        with parts().sessions.begin() as session:
            tenant, label = tenant_chosen(session), need_line("label", longest=LONGEST_LABEL)
            key = make_key(session, tenant.id, label, key_id=read_id("id"))
            remember(session, Action.KEY_MADE, label, tenant.id)
    except InvalidRequest as error:
        return _index(error), status_of(type(error))
    return render_template("dashboard/admin/key.html", tenant=tenant, label=label, key=key)


@keys.post("/<uuid:key_id>/revoke")
def revoke(key_id: UUID) -> Response:
    """End the validity of a key."""
    with parts().sessions.begin() as session:
        key = end_key(session, administered(), key_id)
        remember(session, Action.KEY_REVOKED, key.label, key.tenant_id)
    return see("dashboard.admin.keys.index")
