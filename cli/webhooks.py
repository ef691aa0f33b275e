# SPDX-License-Identifier: Apache-2.0
"""`hilum webhooks`: the servers of hospitals that are told how jobs ended."""

from urllib.parse import urlsplit
from uuid import UUID

import click
from rich.table import Table
from sqlalchemy.orm import Session

from api.callbacks import check_callback
from api.push.notifier import ping
from cli.account import remember
from cli.database import database
from cli.home import find_settings
from cli.terminal import narrate, out
from db.notices import NoticeFilter, count_notices, list_notices, retry_failed_notices
from db.pages import Page
from db.tables import OPEN, WebhookRow
from db.tenants import list_tenants, tenant_named
from db.webhooks import (
    add_webhook,
    change_webhook,
    find_webhook,
    list_webhooks,
    remove_webhook,
    rotate_secret,
)
from hilum.audit import Action
from hilum.destinations import DeliveryState
from hilum.errors import Undelivered

KEEP_IT = "Keep the secret now; it cannot be shown again."

id_argument = click.argument("webhook", type=click.UUID, metavar="ID")


@click.group(short_help="Name the servers that are told how jobs ended.")
def webhooks() -> None:
    """Add, list, test, rotate, retry and remove the servers that are told how jobs ended."""


@webhooks.command()
@click.argument("tenant")
@click.argument("url")
@click.option("--events", help="Which, divided by commas; every one where absent.")
def add(tenant: str, url: str, events: str | None) -> None:
    """Have URL told how TENANT's jobs end, and print the secret that it is signed with, once."""
    check_callback(url, allow_private=find_settings().callback_private)
    wanted = [event.strip() for event in events.split(",")] if events else []
    with database() as sessions, sessions.begin() as session:
        row = add_webhook(session, tenant_named(session, tenant).id, url, wanted)
        _remember(session, row, "added")
    out.print(row.secret, markup=False, soft_wrap=True)
    narrate(f"Webhook {row.id} is told, from the next job on. {KEEP_IT}")


@webhooks.command(name="list")
def list_() -> None:
    """List the webhooks, with how many notices are on their way and were given up on."""
    table = Table("id", "tenant", "host", "events", "waiting", "failed", "disabled", box=None)
    with database() as sessions, sessions.begin() as session:
        counts = count_notices(session)
        for tenant in list_tenants(session):
            for row in list_webhooks(session, tenant.id):
                waiting = sum(counts.get((row.id, state), 0) for state in OPEN)
                failed = counts.get((row.id, DeliveryState.FAILED), 0)
                columns = (str(row.id), tenant.name, _host(row), " ".join(row.events) or "all")
                table.add_row(*columns, str(waiting), str(failed), row.disabled_reason or "")
    out.print(table)


@webhooks.command()
@id_argument
def test(webhook: UUID) -> None:
    """Send a webhook the event `ping`, right now, and say what came back."""
    with database() as sessions, sessions.begin() as session:
        row = find_webhook(session, webhook)
    answer = ping(row, find_settings())
    if answer.error is not None:
        raise Undelivered(answer.error)
    narrate(f"{_host(row)} answered {answer.status} after {answer.seconds:.1f} s.")


@webhooks.command()
@id_argument
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
def log(webhook: UUID, limit: int) -> None:
    """List what a webhook was told last, and what became of it."""
    table = Table("id", "job", "event", "state", "attempts", "status", "next", "error", box=None)
    with database() as sessions, sessions.begin() as session:
        page = Page(limit=limit)
        for row in list_notices(session, find_webhook(session, webhook), NoticeFilter(), page).rows:
            again = f"{row.next_at:%Y-%m-%d %H:%M:%S}" if row.next_at else ""
            columns = (str(row.id), str(row.job_id), row.event, row.state.value, str(row.attempts))
            table.add_row(*columns, str(row.status or ""), again, row.error or "")
    out.print(table)


@webhooks.command()
@id_argument
def rotate(webhook: UUID) -> None:
    """Give a webhook a new secret and print it, once; the one before signs beside it for a day."""
    with database() as sessions, sessions.begin() as session:
        row = find_webhook(session, webhook)
        secret = rotate_secret(row)
        _remember(session, row, "rotated")
    out.print(secret, markup=False, soft_wrap=True)
    narrate(KEEP_IT)


@webhooks.command()
@id_argument
def retry(webhook: UUID) -> None:
    """Enable a webhook, and send what was given up on, once its server is back."""
    with database() as sessions, sessions.begin() as session:
        row = find_webhook(session, webhook)
        if row.url is not None:
            change_webhook(row, enabled=True)
        count = retry_failed_notices(session, row)
        _remember(session, row, "resent")
    narrate(f"{count} notices are on their way to {_host(row)} again.")


@webhooks.command()
@id_argument
def remove(webhook: UUID) -> None:
    """End a webhook, at once, with its log and what is on its way there."""
    with database() as sessions, sessions.begin() as session:
        row = find_webhook(session, webhook)
        remove_webhook(session, row)
        _remember(session, row, "removed")
    narrate(f"Removed {row.id}.")


def _remember(session: Session, row: WebhookRow, change: str) -> None:
    detail = {"change": change, "host": _host(row)}
    remember(session, Action.WEBHOOK_CHANGED, str(row.id), row.tenant_id, detail)


def _host(row: WebhookRow) -> str:
    """Return whom a webhook tells; the rest of its address may hold a secret."""
    return "callback_url of jobs" if row.url is None else str(urlsplit(row.url).hostname)
