# SPDX-License-Identifier: Apache-2.0
"""The page of webhooks: a hospital's own servers, a test of each, and the log of what they were told."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from apiflask import APIBlueprint
from flask import render_template, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api.callbacks import LONGEST, check_callback
from api.dashboard.admin.forms import need_line, see
from api.dashboard.admin.rights import administered, read_id, remember, tenant_chosen
from api.errors import status_of
from api.parts import parts
from api.push.notifier import Answer, ping
from db.notices import NoticeFilter, list_notices, retry_failed_notices, send_notice_again
from db.outgoing import count_undelivered
from db.pages import Page
from db.tables import OPEN, NoticeRow, WebhookRow
from db.tenants import tenants_in
from db.webhooks import (
    add_webhook,
    change_webhook,
    remove_webhook,
    rotate_secret,
    webhook_in,
    webhooks_in,
)
from hilum.audit import Action
from hilum.destinations import DeliveryState
from hilum.errors import InvalidRequest, RequestError
from hilum.webhooks import EVENTS

webhooks = APIBlueprint("webhooks", __name__, url_prefix="/webhooks", enable_openapi=False)

LINES: Final = 50
"""Of the log, on a page."""


@webhooks.get("")
def index() -> str:
    """List webhooks."""
    return _index()


def _index(error: RequestError | None = None) -> str:
    with parts().sessions.begin() as session:
        found = webhooks_in(session, administered())
        counts = count_undelivered(session, NoticeRow.webhook_id, [one.id for one in found])
        tenants = tenants_in(session, administered())
    return render_template(
        "dashboard/admin/webhooks.html",
        webhooks=found,
        waiting={one.id: sum(counts.get((one.id, state), 0) for state in OPEN) for one in found},
        failed={one.id: counts.get((one.id, DeliveryState.FAILED), 0) for one in found},
        tenants=tenants,
        events=EVENTS,
        # The id of the webhook that this form adds: sent twice, it adds one.
        new_id=uuid4(),
        error=error,
    )


@webhooks.post("")
def add() -> str | tuple[str, int]:
    """Have a server told how jobs end, and show the secret that it is signed with, this once."""
    try:
        url = _url()
        with parts().sessions.begin() as session:
            tenant = tenant_chosen(session)
            row = add_webhook(session, tenant.id, url, _events(), webhook_id=read_id("id"))
            _remember(session, row, "added")
    except RequestError as error:
        return _index(error), status_of(type(error))
    return render_template("dashboard/admin/webhook_secret.html", webhook=row, host=_host(row))


@webhooks.get("/<uuid:webhook_id>")
def show(webhook_id: UUID) -> str:
    """Show a webhook, and what it was told."""
    return _show(webhook_id)


def _show(
    webhook_id: UUID, *, error: RequestError | None = None, answer: Answer | None = None
) -> str:
    state = _state()
    with parts().sessions.begin() as session:
        webhook = webhook_in(session, administered(), webhook_id)
        page = Page(request.args.get("cursor"), LINES)
        log = list_notices(session, webhook, NoticeFilter(state=state), page)
    return render_template(
        "dashboard/admin/webhook.html",
        webhook=webhook,
        log=log,
        state=state,
        states=list(DeliveryState),
        events=EVENTS,
        rotated=_rotated(webhook),
        answer=answer,
        error=error,
    )


@webhooks.post("/<uuid:webhook_id>")
def change(webhook_id: UUID) -> Response | tuple[str, int]:
    """Change where a webhook leads, and what it gets."""
    try:
        url = _url()
        with parts().sessions.begin() as session:
            row = webhook_in(session, administered(), webhook_id, is_locked=True)
            change_webhook(row, url=url, events=_events())
            _remember(session, row, "changed")
    except RequestError as error:
        return _show(webhook_id, error=error), status_of(type(error))
    return _see(webhook_id)


@webhooks.post("/<uuid:webhook_id>/<any(enable,disable,retry):deed>")
def act(webhook_id: UUID, deed: str) -> Response:
    """Send there again or no more, or send what was given up on."""
    with parts().sessions.begin() as session:
        row = webhook_in(session, administered(), webhook_id, is_locked=True)
        DEEDS[deed](session, row)
        _remember(session, row, deed)
    return _see(webhook_id)


def _retry(session: Session, row: WebhookRow) -> None:
    retry_failed_notices(session, row)


DEEDS: Final[Mapping[str, Callable[[Session, WebhookRow], None]]] = {
    "enable": lambda _, row: change_webhook(row, enabled=True),
    "disable": lambda _, row: change_webhook(row, enabled=False),
    "retry": _retry,
}


@webhooks.post("/<uuid:webhook_id>/remove")
def remove(webhook_id: UUID) -> Response:
    """End a webhook, with its log and all that is on its way there."""
    with parts().sessions.begin() as session:
        row = webhook_in(session, administered(), webhook_id, is_locked=True)
        remove_webhook(session, row)
        _remember(session, row, "removed")
    return see("dashboard.admin.webhooks.index")


@webhooks.post("/<uuid:webhook_id>/rotate")
def rotate(webhook_id: UUID) -> str:
    """Show a new secret, this once; the one before signs beside it for a day.

    Raises:
        InvalidRequest: it was rotated since the form was shown; another turn would end the secret that
            its receiver has.
    """
    with parts().sessions.begin() as session:
        row = webhook_in(session, administered(), webhook_id, is_locked=True)
        if request.form.get("rotated") != _rotated(row):
            raise InvalidRequest("This webhook got a new secret meanwhile. Open its page again.")
        rotate_secret(row)
        _remember(session, row, "rotated")
    return render_template("dashboard/admin/webhook_secret.html", webhook=row, host=_host(row))


@webhooks.post("/<uuid:webhook_id>/test")
def test(webhook_id: UUID) -> str | tuple[str, int]:
    """Send a webhook a `ping`, right now and once, and show what came back."""
    with parts().sessions.begin() as session:
        row = webhook_in(session, administered(), webhook_id)
    try:
        # No transaction waits for somebody else's server.
        answer = ping(row, parts().settings)
    except RequestError as error:
        return _show(webhook_id, error=error), status_of(type(error))
    with parts().sessions.begin() as session:
        _remember(session, row, "tested", status=answer.status)
    return _show(webhook_id, answer=answer)


@webhooks.post("/<uuid:webhook_id>/log/<uuid:notice_id>")
def resend(webhook_id: UUID, notice_id: UUID) -> Response:
    """Tell it once more, under the same id, whatever became of it before."""
    with parts().sessions.begin() as session:
        row = webhook_in(session, administered(), webhook_id)
        send_notice_again(session, row, notice_id)
        _remember(session, row, "resent", notice=notice_id)
    return _see(webhook_id)


def _url() -> str:
    url = need_line("url", longest=LONGEST)
    check_callback(url, allow_private=parts().settings.callback_private)
    return url


def _events() -> list[str]:
    return request.form.getlist("events")


def _state() -> DeliveryState | None:
    asked = request.args.get("state") or None
    try:
        return None if asked is None else DeliveryState(asked)
    except ValueError as error:
        raise InvalidRequest(f"Expected one of the states {', '.join(DeliveryState)}.") from error


def _rotated(row: WebhookRow) -> str:
    """Return what changes with each new secret."""
    return row.old_secret_until.isoformat() if row.old_secret_until else "never"


def _host(row: WebhookRow) -> str:
    # The path and query of an address may hold a secret of the receiver's.
    return urlsplit(row.url or "").hostname or "callbacks"


def _remember(session: Session, row: WebhookRow, change: str, **detail: Any) -> None:
    detail |= {"change": change, "host": _host(row)}
    remember(session, Action.WEBHOOK_CHANGED, str(row.id), row.tenant_id, **detail)


def _see(webhook_id: UUID) -> Response:
    return see("dashboard.admin.webhooks.show", webhook_id=webhook_id)
