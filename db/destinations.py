# SPDX-License-Identifier: Apache-2.0
"""The archives that hospitals have their results sent to."""

import re
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from db.scope import Scope
from db.tables import DestinationRow, TenantRow
from db.tenants import tenant_named
from hilum.catalogue import RESULTS
from hilum.destinations import CONTENTS, NAME, ORIGINALS, Address, to_json
from hilum.errors import InvalidRequest, UnknownDestination


def add_destination(
    session: Session,
    tenant_name: str,
    name: str,
    address: Address,
    *,
    contents: Collection[str] = RESULTS,
    deidentify: bool = False,
) -> DestinationRow:
    """Have the results of a hospital's jobs sent to an archive, from the next job on.

    Args:
        session: one transaction.
        tenant_name: the hospital.
        name: what it calls the archive.
        address: where.
        contents: of `hilum.destinations.CONTENTS`.
        deidentify: whether it gets them without the patient, by the hospital's policy.

    Raises:
        InvalidRequest: the name is malformed or taken, there is no such hospital, it has no policy, or
            there is nothing that could be sent.
    """
    tenant = tenant_named(session, tenant_name)
    if re.fullmatch(NAME, name) is None:
        raise InvalidRequest(
            f"A destination is called {name[:64]!r}, expected 1 to 64 letters, digits, dots, dashes"
            " and underscores."
        )
    if session.scalar(_named(tenant, name)) is not None:
        raise InvalidRequest(f"There is a destination {name!r} already, expected a new name.")
    row = DestinationRow(tenant_id=tenant.id, tenant=tenant, name=name)
    change_destination(row, address, contents=contents, deidentify=deidentify)
    session.add(row)
    session.flush()
    return row


def change_destination(
    row: DestinationRow,
    address: Address,
    *,
    contents: Collection[str],
    deidentify: bool,
) -> None:
    """Change where a destination leads and what it gets; what waits goes where it leads by then.

    Raises:
        InvalidRequest: the hospital has no policy, or there is nothing that could be sent.
    """
    _check_contents(row.tenant, contents, deidentify=deidentify)
    row.address = to_json(address)
    row.contents = [one for one in CONTENTS if one in contents]
    row.deidentify = deidentify


def _check_contents(tenant: TenantRow, contents: Collection[str], *, deidentify: bool) -> None:
    if deidentify and tenant.deidentification is None:
        raise InvalidRequest(
            f"{tenant.name} has no policy of de-identification: `hilum tenants deidentify` makes one."
        )
    if deidentify and not {"segmentation", ORIGINALS} & set(contents):
        raise InvalidRequest(
            "Of what this destination gets nothing can go without the patient, expected"
            f" segmentation or {ORIGINALS} among it."
        )
    unknown = set(contents) - set(CONTENTS)
    if unknown or not contents:
        raise InvalidRequest(
            f"A destination gets some of {', '.join(CONTENTS)}, found"
            f" {', '.join(sorted(unknown)) or 'none'}."
        )


def find_destination(session: Session, tenant_name: str, name: str) -> DestinationRow:
    """Return a hospital's destination.

    Raises:
        InvalidRequest: there is no such hospital.
        UnknownDestination: it has none of this name.
    """
    row = session.scalar(_named(tenant_named(session, tenant_name), name))
    if row is None:
        raise UnknownDestination(f"{tenant_name} has no destination {name!r}.")
    return row


def list_destinations(session: Session) -> list[DestinationRow]:
    """Return every destination with its hospital, by both names."""
    destinations = select(DestinationRow).join(DestinationRow.tenant)
    with_tenant = destinations.options(joinedload(DestinationRow.tenant))
    return list(session.scalars(with_tenant.order_by(TenantRow.name, DestinationRow.name)))


def destinations_in(session: Session, scope: Scope) -> list[DestinationRow]:
    """Return the destinations of a scope with their hospitals, by both names."""
    query = select(DestinationRow).join(DestinationRow.tenant)
    query = query.where(scope.holds(DestinationRow.tenant_id))
    with_tenant = query.options(contains_eager(DestinationRow.tenant))
    return list(session.scalars(with_tenant.order_by(TenantRow.name, DestinationRow.name)))


def destination_in(session: Session, scope: Scope, destination_id: UUID) -> DestinationRow:
    """Return a destination of a scope with its hospital, locked to be changed.

    Raises:
        UnknownDestination: there is none with this id, or it is outside.
    """
    query = select(DestinationRow).where(
        DestinationRow.id == destination_id, scope.holds(DestinationRow.tenant_id)
    )
    with_tenant = query.options(joinedload(DestinationRow.tenant))
    row = session.scalar(with_tenant.with_for_update(of=DestinationRow))
    if row is None:
        raise UnknownDestination(f"There is no destination {destination_id} that you could change.")
    return row


def remove_destination(session: Session, tenant_name: str, name: str) -> None:
    """End a destination, with all that is on its way there.

    Raises:
        InvalidRequest, UnknownDestination: there is none.
    """
    row = find_destination(session, tenant_name, name)
    session.execute(delete(DestinationRow).where(DestinationRow.id == row.id))


def _named(tenant: TenantRow, name: str) -> Select[DestinationRow]:
    return select(DestinationRow).where(
        DestinationRow.tenant_id == tenant.id, DestinationRow.name == name
    )
