# SPDX-License-Identifier: Apache-2.0
"""The servers that hospitals want told, and the secrets that we sign with for them."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager, joinedload

from db.scope import Scope
from db.tables import TenantRow, WebhookRow, now
from hilum.errors import InvalidRequest, UnknownWebhook
from hilum.webhooks import EVENTS, new_secret

MOST: Final = 20
"""Webhooks of a hospital; the end of each of its jobs writes a row for every one."""

OLD_SECRET_STAYS: Final = timedelta(hours=24)
"""How long a secret signs beside the one that took its place."""


def add_webhook(
    session: Session,
    tenant_id: UUID,
    url: str,
    events: Collection[str] = (),
    *,
    webhook_id: UUID | None = None,
) -> WebhookRow:
    """Have a server told how the jobs of a hospital end, from the next one on.

    Args:
        session: one transaction.
        tenant_id: the hospital.
        url: of the server, looked at already.
        events: of `EVENTS`; all of them, those of later too, where there is none.
        webhook_id: given beforehand, so that a form that is sent twice adds one.

    Raises:
        InvalidRequest: an event is none, the hospital has as many as it may, or there is one with this id.
    """
    counted = select(func.count()).select_from(WebhookRow)
    own = session.scalars(counted.where(*_addressed(tenant_id))).one()
    if own >= MOST:
        raise InvalidRequest(f"The hospital has {own} webhooks, expected fewer than {MOST}.")
    values = {"tenant_id": tenant_id, "url": url, "events": _sorted(events)}
    values |= {"id": webhook_id or uuid4(), "secret": new_secret()}
    added = insert(WebhookRow).values(values).on_conflict_do_nothing().returning(WebhookRow)
    row = session.scalar(added)
    if row is None:
        raise InvalidRequest(
            "This form was sent before: the webhook was added and its secret shown then. If it was"
            " not kept, give the webhook a new one."
        )
    return row


def callbacks_of(session: Session, tenant_id: UUID) -> WebhookRow:
    """Return what signs for the `callback_url` of a hospital's jobs, made when first asked for."""
    own = select(WebhookRow).where(WebhookRow.tenant_id == tenant_id, WebhookRow.url.is_(None))
    found = session.scalar(own)
    if found is None:
        values = {"tenant_id": tenant_id, "events": [], "secret": new_secret()}
        # Another transaction may make it at the same moment; then it is theirs that counts.
        session.execute(insert(WebhookRow).values(values).on_conflict_do_nothing())
        found = session.scalars(own).one()
    return found


def list_webhooks(session: Session, tenant_id: UUID) -> list[WebhookRow]:
    """Return a hospital's webhooks, oldest first; that of its callbacks before all others."""
    callbacks = callbacks_of(session, tenant_id)
    own = select(WebhookRow).where(*_addressed(tenant_id))
    ordered = own.order_by(WebhookRow.created_at, WebhookRow.id)
    return [callbacks, *session.scalars(ordered)]


def webhooks_in(session: Session, scope: Scope) -> list[WebhookRow]:
    """Return the webhooks of a scope with their hospitals, by its name, the oldest first."""
    query = select(WebhookRow).join(WebhookRow.tenant).options(contains_eager(WebhookRow.tenant))
    order = (TenantRow.name, WebhookRow.url.is_not(None), WebhookRow.created_at, WebhookRow.id)
    return list(session.scalars(query.where(scope.holds(WebhookRow.tenant_id)).order_by(*order)))


def webhook_in(
    session: Session, scope: Scope, webhook_id: UUID, *, is_locked: bool = False
) -> WebhookRow:
    """Return a webhook of a scope with its hospital; locked to be changed.

    Raises:
        UnknownWebhook: there is none, or it is outside.
    """
    query = select(WebhookRow).where(scope.holds(WebhookRow.tenant_id))
    query = query.options(joinedload(WebhookRow.tenant))
    query = query.with_for_update(of=WebhookRow) if is_locked else query
    return _found(session, webhook_id, query)


def webhook_for(session: Session, tenant_id: UUID, webhook_id: UUID) -> WebhookRow:
    """Return a hospital's webhook.

    Raises:
        UnknownWebhook: there is none, or it is another hospital's.
    """
    return _found(session, webhook_id, select(WebhookRow).where(WebhookRow.tenant_id == tenant_id))


def find_webhook(session: Session, webhook_id: UUID) -> WebhookRow:
    """Return a webhook, whichever hospital has it.

    Raises:
        UnknownWebhook: there is none.
    """
    return _found(session, webhook_id, select(WebhookRow))


def change_webhook(
    row: WebhookRow,
    *,
    url: str | None = None,
    events: Collection[str] | None = None,
    enabled: bool | None = None,
) -> None:
    """Change what is given; what waits goes where the webhook leads by then.

    Raises:
        InvalidRequest: an event is none, or the webhook is that of callbacks.
    """
    address_of(row)
    if url is not None:
        row.url = url
    if events is not None:
        row.events = _sorted(events)
    if enabled is True:
        row.disabled_at = row.disabled_reason = None
    if enabled is False and row.disabled_at is None:
        row.disabled_at, row.disabled_reason = now(), "It was disabled by request."


def address_of(row: WebhookRow) -> str:
    """Return where a webhook leads.

    Raises:
        InvalidRequest: it is that of callbacks, whose addresses come with the jobs.
    """
    if row.url is None:
        raise InvalidRequest(
            f"Webhook {row.id} signs for the callback_url of jobs and has no address of its own,"
            " expected one that has."
        )
    return row.url


def remove_webhook(session: Session, row: WebhookRow) -> None:
    """End a webhook, with all that is on its way there.

    Raises:
        InvalidRequest: it is that of callbacks.
    """
    address_of(row)
    session.execute(delete(WebhookRow).where(WebhookRow.id == row.id))


def rotate_secret(row: WebhookRow) -> str:
    """Give a webhook a new secret and return it; the one before signs beside it for a day."""
    row.old_secret, row.old_secret_until = row.secret, now() + OLD_SECRET_STAYS
    row.secret = new_secret()
    return row.secret


def disable(session: Session, webhook_id: UUID, url: str, reason: str) -> None:
    """Send nothing more to a webhook, unless it leads elsewhere by now."""
    ended = update(WebhookRow).where(WebhookRow.id == webhook_id, WebhookRow.url == url)
    session.execute(ended.values(disabled_at=func.now(), disabled_reason=reason))


def keys_of(row: WebhookRow) -> tuple[str, ...]:
    """Return the secrets that a webhook signs with, the newest first."""
    is_old_valid = row.old_secret_until is not None and now() < row.old_secret_until
    return (row.secret, row.old_secret) if row.old_secret and is_old_valid else (row.secret,)


def _found(session: Session, webhook_id: UUID, query: Select[WebhookRow]) -> WebhookRow:
    row = session.scalar(query.where(WebhookRow.id == webhook_id))
    if row is None:
        raise UnknownWebhook(f"There is no webhook {webhook_id}.")
    return row


def _addressed(tenant_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """Tell a hospital's webhooks from the one that signs for its callbacks."""
    return WebhookRow.tenant_id == tenant_id, WebhookRow.url.is_not(None)


def _sorted(events: Collection[str]) -> list[str]:
    if unknown := set(events) - set(EVENTS):
        raise InvalidRequest(
            f"There are the events {', '.join(EVENTS)}, found {', '.join(sorted(unknown))}."
        )
    return [event for event in EVENTS if event in events]
