# SPDX-License-Identifier: Apache-2.0
"""The application entity titles that scanners call, and whose studies they bring."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload

from db.tables import TitleRow
from db.tenants import tenant_named
from hilum.destinations import check_title
from hilum.errors import InvalidRequest


def add_title(
    session: Session,
    title: str,
    tenant_name: str,
    *,
    order: Mapping[str, str],
    calling: Sequence[str] = (),
) -> TitleRow:
    """Let scanners call a title; what they send there belongs to this hospital.

    Args:
        session: one transaction.
        title: 1 to 16 characters, without backslash and spaces at its ends (PS3.5 6.2, AE).
        tenant_name: the hospital.
        order: what is to be done with each study: pipeline, network, priority, callback_url.
        calling: titles of those who may call; anyone where there is none.

    Raises:
        InvalidRequest: a title is malformed or taken, or there is no such hospital.
    """
    for each in (title, *calling):
        check_title(each)
    tenant = tenant_named(session, tenant_name)
    if find_title(session, title) is not None:
        raise InvalidRequest(f"The title {title} is taken already, expected a new one.")
    row = TitleRow(title=title, tenant_id=tenant.id, order=dict(order), calling=list(calling))
    session.add(row)
    session.flush()
    return row


def find_title(session: Session, title: str) -> TitleRow | None:
    """Return what is known of a title."""
    return session.scalar(select(TitleRow).where(TitleRow.title == title))


def list_titles(session: Session) -> list[TitleRow]:
    """Return every title with its hospital, by name."""
    titles = select(TitleRow).options(joinedload(TitleRow.tenant)).order_by(TitleRow.title)
    return list(session.scalars(titles))


def titles_of(session: Session, tenant_id: UUID) -> list[TitleRow]:
    """Return a hospital's titles by name."""
    own = select(TitleRow).where(TitleRow.tenant_id == tenant_id)
    return list(session.scalars(own.order_by(TitleRow.title)))


def remove_title(session: Session, title: str) -> bool:
    """End a title; false where there is none."""
    ended = delete(TitleRow).where(TitleRow.title == title).returning(TitleRow.title)
    return session.scalar(ended) is not None
