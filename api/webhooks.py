# SPDX-License-Identifier: Apache-2.0
"""Webhooks over HTTP: a hospital's own servers, a test of each, and the log of what they were told."""

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response

from api import exports
from api.auth import by_key, tenant_id
from api.callbacks import check_callback
from api.exports import csv_response
from api.lists import NoticesQuery, Wanted
from api.parts import parts
from api.push.notifier import Answer, ping
from api.schemas.fields import CSV
from api.schemas.webhooks import (
    NewWebhookJSON,
    NoticeJSON,
    NoticesJSON,
    PingJSON,
    SecretWebhookJSON,
    WebhookChangeJSON,
    WebhookJSON,
    WebhooksJSON,
)
from db.notices import NoticeFilter, iterate_notices, list_notices, send_notice_again
from db.tables import NoticeRow, WebhookRow
from db.webhooks import (
    add_webhook,
    change_webhook,
    list_webhooks,
    remove_webhook,
    rotate_secret,
    webhook_for,
)

webhooks = APIBlueprint("webhooks", __name__, url_prefix="/v1/webhooks", tag="Webhooks")

BODY_ERRORS = {400: "The body is no JSON.", 413: "The body is too large."}


@webhooks.get("")
@webhooks.auth_required(by_key)
@webhooks.output(WebhooksJSON)
def list_all() -> dict[str, Any]:
    """List webhooks, the one that signs for callbacks first."""
    with parts().sessions.begin() as session:
        return {"items": list_webhooks(session, tenant_id())}


@webhooks.post("")
@webhooks.auth_required(by_key)
@webhooks.input(NewWebhookJSON, location="json", arg_name="wanted")
@webhooks.output(SecretWebhookJSON, status_code=201)
@webhooks.doc(responses=BODY_ERRORS)
def add(wanted: dict[str, Any]) -> WebhookRow:
    """Have a server told how jobs end, from the next one on.

    The answer has the secret that it is signed with, this once.
    """
    _check(wanted)
    with parts().sessions.begin() as session:
        return add_webhook(session, tenant_id(), wanted["url"], wanted.get("events", ()))


@webhooks.get("/<uuid:webhook_id>")
@webhooks.auth_required(by_key)
@webhooks.output(WebhookJSON)
def show(webhook_id: UUID) -> WebhookRow:
    """Show a webhook; its secret is not shown again."""
    return _webhook(webhook_id)


@webhooks.patch("/<uuid:webhook_id>")
@webhooks.auth_required(by_key)
@webhooks.input(WebhookChangeJSON, location="json", arg_name="wanted")
@webhooks.output(WebhookJSON)
@webhooks.doc(responses=BODY_ERRORS)
def change(webhook_id: UUID, wanted: dict[str, Any]) -> WebhookRow:
    """Change where a webhook leads, what it gets, or whether anything is sent there."""
    _check(wanted)
    with parts().sessions.begin() as session:
        row = webhook_for(session, tenant_id(), webhook_id)
        change_webhook(row, **wanted)
        return row


@webhooks.delete("/<uuid:webhook_id>")
@webhooks.auth_required(by_key)
@webhooks.output({}, status_code=204)
def remove(webhook_id: UUID) -> str:
    """End a webhook, with its log and all that is on its way there."""
    with parts().sessions.begin() as session:
        remove_webhook(session, webhook_for(session, tenant_id(), webhook_id))
    return ""


@webhooks.post("/<uuid:webhook_id>/rotate")
@webhooks.auth_required(by_key)
@webhooks.output(SecretWebhookJSON)
def rotate(webhook_id: UUID) -> WebhookRow:
    """Give a webhook a new secret, shown this once; the one before signs beside it for a day."""
    with parts().sessions.begin() as session:
        row = webhook_for(session, tenant_id(), webhook_id)
        rotate_secret(row)
        return row


@webhooks.post("/<uuid:webhook_id>/test")
@webhooks.auth_required(by_key)
@webhooks.output(PingJSON)
def test(webhook_id: UUID) -> dict[str, Any]:
    """Send a webhook the event `ping`, right now and once, and tell what came back."""
    return _answer(ping(_webhook(webhook_id), parts().settings))


@webhooks.get("/<uuid:webhook_id>/deliveries")
@webhooks.auth_required(by_key)
@webhooks.input(NoticesQuery, location="query", arg_name="query", unknown=None)
@webhooks.output(NoticesJSON)
@webhooks.doc(responses=CSV)
def log(webhook_id: UUID, query: dict[str, Any]) -> dict[str, Any] | Response:
    """List what a webhook was told, and what became of it."""
    webhook, wanted = _webhook(webhook_id), Wanted.of(NoticeFilter, query)
    if wanted.as_csv:
        rows = iterate_notices(parts().sessions, webhook, wanted.chosen, wanted.page.sort)
        return csv_response("deliveries", exports.NOTICES, rows)
    with parts().sessions.begin() as session:
        listing = list_notices(session, webhook, wanted.chosen, wanted.page)
    return {"items": listing.rows, "next_cursor": listing.next_cursor}


@webhooks.post("/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/retry")
@webhooks.auth_required(by_key)
@webhooks.output(NoticeJSON, status_code=202)
@webhooks.doc(responses={409: "The webhook is disabled."})
def retry(webhook_id: UUID, delivery_id: UUID) -> NoticeRow:
    """Tell it once more, under the same `webhook-id`, whatever became of it before."""
    with parts().sessions.begin() as session:
        webhook = webhook_for(session, tenant_id(), webhook_id)
        return send_notice_again(session, webhook, delivery_id)


def _webhook(webhook_id: UUID) -> WebhookRow:
    with parts().sessions.begin() as session:
        return webhook_for(session, tenant_id(), webhook_id)


def _check(wanted: dict[str, Any]) -> None:
    if "url" in wanted:
        check_callback(wanted["url"], allow_private=parts().settings.callback_private)


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "delivered": answer.error is None,
        "status": answer.status,
        "error": answer.error,
        "seconds": answer.seconds,
    }
