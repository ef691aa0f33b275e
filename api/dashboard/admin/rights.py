# SPDX-License-Identifier: Apache-2.0
"""Whose affairs somebody may administer, and the memory of what they did."""

from typing import Any
from uuid import UUID

from flask import request
from sqlalchemy.orm import Session

from api.person import person
from db.audit import append
from db.scope import Scope
from db.tables import TenantRow
from db.tenants import tenant_in
from hilum.audit import Action, Entry
from hilum.errors import InvalidRequest, NotPermitted
from hilum.people import Permission


def administered() -> Scope:
    """Return the hospitals that whoever is signed in administers."""
    return person().scope(Permission.ADMINISTER)


def check_administers() -> None:
    """Make sure that they administer a hospital.

    Raises:
        NotPermitted: they do not.
    """
    person().check(Permission.ADMINISTER)


def check_administers_everything() -> None:
    """Make sure that they administer every hospital.

    Raises:
        NotPermitted: they do not.
    """
    if not administered().is_everything:
        raise NotPermitted("This is for those who administer all hospitals, not for one alone.")


def tenant_chosen(session: Session) -> TenantRow:
    """Return the hospital that a form names, which is one of theirs.

    Raises:
        InvalidRequest: it names none.
        UnknownTenant: it is none of theirs.
    """
    return tenant_in(session, administered(), read_id("tenant"))


def read_id(name: str) -> UUID:
    """Return the id in a field of a form.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        return UUID(request.form.get(name, ""))
    except ValueError as error:
        raise InvalidRequest(f"The field {name} holds no id, expected one of the page.") from error


def remember(
    session: Session, action: Action, subject: str, tenant_id: UUID | None = None, **detail: Any
) -> None:
    """Append what somebody does to the audit log, as the last step of its transaction."""
    entry = Entry(person().by, action, tenant_id, subject, detail, request.remote_addr)
    append(session, entry)
