# SPDX-License-Identifier: Apache-2.0
"""The page of destinations: archives that a hospital's results go to, and whether they get there."""

from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api.dashboard.admin.forms import need_line, read_line, see
from api.dashboard.admin.rights import administered, remember, tenant_chosen
from api.errors import status_of
from api.parts import parts
from api.push.bounds import WHOM_TO_ASK, place_of
from api.push.courier import echo
from db.deliveries import retry_failed
from db.destinations import (
    add_destination,
    change_destination,
    destination_in,
    destinations_in,
    remove_destination,
)
from db.outgoing import count_undelivered
from db.tables import OPEN, DeliveryRow, DestinationRow
from db.tenants import tenants_in
from hilum.audit import Action
from hilum.catalogue import RESULTS
from hilum.destinations import (
    ADDRESS,
    CALLING,
    CONTENTS,
    Address,
    DeliveryState,
    Stow,
    parse_entity,
    parse_service,
)
from hilum.errors import HilumError, InvalidRequest, NotPermitted, Undelivered

destinations = APIBlueprint(
    "destinations", __name__, url_prefix="/destinations", enable_openapi=False
)

LONGEST_NAME: Final = 64
LONGEST_TITLE: Final = 16
LONGEST_ADDRESS: Final = 2048
"""Characters; of an authorization likewise."""

IS_SERVICE: Final = ("http://", "https://")
"""How the address of an archive that takes STOW-RS begins; any other is an application entity."""


@destinations.get("")
def index() -> str:
    """List destinations."""
    return _index()


def _index(error: HilumError | None = None) -> str:
    with parts().sessions.begin() as session:
        found = destinations_in(session, administered())
        ids = [one.id for one in found]
        counts = count_undelivered(session, DeliveryRow.destination_id, ids)
        tenants = tenants_in(session, administered())
    return render_template(
        "dashboard/admin/destinations.html",
        destinations=[(one, _address(one)) for one in found],
        waiting={one: sum(counts.get((one, state), 0) for state in OPEN) for one in ids},
        failed={one: counts.get((one, DeliveryState.FAILED), 0) for one in ids},
        tenants=tenants,
        contents=CONTENTS,
        usual=RESULTS,
        calling=CALLING,
        bounds=_bounds(),
        error=error,
    )


@destinations.post("")
def add() -> Response | tuple[str, int]:
    """Have the results of a hospital's jobs sent to an archive, from the next job on."""
    try:
        address = _read(kept=None)
        with parts().sessions.begin() as session:
            name = need_line("name", longest=LONGEST_NAME)
            tenant = tenant_chosen(session)
            row = add_destination(session, tenant.name, name, address, **_wishes())
            _remember(session, row, "added")
    except (InvalidRequest, NotPermitted) as error:
        return _index(error), status_of(type(error))
    return _see(row.id)


@destinations.get("/<uuid:destination_id>")
def show(destination_id: UUID) -> str:
    """Show a destination."""
    return _show(destination_id)


def _show(destination_id: UUID, *, error: HilumError | None = None, said: str = "") -> str:
    with parts().sessions.begin() as session:
        row = destination_in(session, administered(), destination_id)
        counts = count_undelivered(session, DeliveryRow.destination_id, [row.id])
    return render_template(
        "dashboard/admin/destination.html",
        destination=row,
        address=_address(row),
        typed=_typed(_address(row)),
        waiting=sum(counts.get((row.id, state), 0) for state in OPEN),
        failed=counts.get((row.id, DeliveryState.FAILED), 0),
        contents=CONTENTS,
        bounds=_bounds(),
        said=said,
        error=error,
    )


@destinations.post("/<uuid:destination_id>")
def change(destination_id: UUID) -> Response | tuple[str, int]:
    """Change where a destination leads, and what it gets."""
    try:
        with parts().sessions.begin() as session:
            row = destination_in(session, administered(), destination_id)
            change_destination(row, _read(kept=_address(row)), **_wishes())
            _remember(session, row, "changed")
    except (InvalidRequest, NotPermitted) as error:
        return _show(destination_id, error=error), status_of(type(error))
    return _see(destination_id)


@destinations.post("/<uuid:destination_id>/echo")
def try_(destination_id: UUID) -> str:
    """Ask an archive whether it is there, by C-ECHO or by a search for one study."""
    with parts().sessions.begin() as session:
        row = destination_in(session, administered(), destination_id)
        address = _address(row)
        _remember(session, row, "tried")
    try:
        # No transaction waits for somebody else's archive.
        echo(address, parts().settings)
    except HilumError as error:
        return _show(destination_id, error=error)
    return _show(destination_id, said="It answers.")


@destinations.post("/<uuid:destination_id>/retry")
def retry(destination_id: UUID) -> Response:
    """Send what was given up on, once an archive is back from a long outage."""
    with parts().sessions.begin() as session:
        row = destination_in(session, administered(), destination_id)
        count = retry_failed(session, row)
        _remember(session, row, "retried", studies=count)
    return _see(destination_id)


@destinations.post("/<uuid:destination_id>/remove")
def remove(destination_id: UUID) -> Response:
    """End a destination, with all that is on its way there."""
    with parts().sessions.begin() as session:
        row = destination_in(session, administered(), destination_id)
        remove_destination(session, row.tenant.name, row.name)
        _remember(session, row, "removed")
    return see("dashboard.admin.destinations.index")


def _read(*, kept: Address | None) -> Address:
    """Return the address of a form.

    Its authorization is never shown, so an empty field leaves the one that is kept; but only where
    the address stays, or a new one would be told the secret of the old. An address that stays is
    as bounded as before; a new one is, where somebody named it who administers some hospitals alone.

    Raises:
        InvalidRequest: it is none.
        NotPermitted: it lies where they may name none.
    """
    read = _typed_in(kept)
    if kept is not None and read == replace(kept, is_bounded=False):
        return kept
    bounded = replace(read, is_bounded=not administered().is_everything)
    # A name service may be away for a moment; the courier looks again.
    with suppress(Undelivered):
        place_of(bounded, parts().settings)
    return bounded


def _typed_in(kept: Address | None) -> Address:
    address = need_line("address", longest=LONGEST_ADDRESS)
    if not address.startswith(IS_SERVICE):
        calling = read_line("calling", longest=LONGEST_TITLE) or CALLING
        return parse_entity(address, calling=calling, tls="tls" in request.form)
    found = parse_service(
        address, authorization=read_line("authorization", longest=LONGEST_ADDRESS)
    )
    if isinstance(kept, Stow) and kept.url == found.url and not found.authorization:
        return replace(kept, is_bounded=False)
    return found


def _bounds() -> dict[str, str] | None:
    """Return the networks in which somebody may name archives, and whom to ask for more; None for any."""
    if administered().is_everything:
        return None
    return {"networks": parts().settings.destination_networks, "whom_to_ask": WHOM_TO_ASK}


def _wishes() -> dict[str, Any]:
    return {
        "contents": request.form.getlist("contents"),
        "deidentify": "deidentify" in request.form,
    }


def _address(row: DestinationRow) -> Address:
    return ADDRESS.validate_python(row.address)


def _typed(address: Address) -> str:
    """Return an address as its form takes it."""
    if isinstance(address, Stow):
        return address.url
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.title}@{host}:{address.port}"


def _remember(session: Session, row: DestinationRow, change: str, **detail: Any) -> None:
    detail |= {"change": change, "address": str(_address(row))}
    remember(session, Action.DESTINATION_CHANGED, row.name, row.tenant_id, **detail)


def _see(destination_id: UUID) -> Response:
    return see("dashboard.admin.destinations.show", destination_id=destination_id)
