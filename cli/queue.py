# SPDX-License-Identifier: Apache-2.0
"""`hilum queue`: what waits, and whose jobs are not taken for a while."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import click
from rich.table import Table
from sqlalchemy.orm import Session

from cli.account import account
from cli.database import database
from cli.terminal import narrate, out
from db.audit import append
from db.lines import Line, waiting_lines
from db.pauses import list_pauses, pause_queue, resume_queue
from db.scope import EVERYTHING
from db.tables import PauseRow
from db.tenants import tenant_named
from hilum.audit import Action, Entry

tenant_option = click.option("--tenant", help="One hospital's jobs alone; else everybody's.")


@click.group(short_help="Show, pause and resume the queue.")
def queue() -> None:
    """Show, pause and resume the queue."""


@queue.command()
@tenant_option
@click.option("--reason", required=True, help="A sentence for whoever finds it paused.")
def pause(tenant: str | None, reason: str) -> None:
    """Let no worker take a job; what runs goes on, and what waits keeps its place."""
    with database() as sessions, sessions.begin() as session:
        whose = _tenant_id(session, tenant)
        is_new = pause_queue(session, whose, by=account(), reason=reason)
        if is_new:
            detail = {"reason": reason}
            append(session, Entry(account(), Action.QUEUE_PAUSED, whose, detail=detail))
    narrate(f"{_name(tenant)} {'is' if is_new else 'was already'} paused.")


@queue.command()
@tenant_option
def resume(tenant: str | None) -> None:
    """Let workers take jobs again; `hilum beat` calls them within five seconds."""
    with database() as sessions, sessions.begin() as session:
        whose = _tenant_id(session, tenant)
        was_paused = resume_queue(session, whose)
        if was_paused:
            append(session, Entry(account(), Action.QUEUE_RESUMED, whose))
    narrate(f"{_name(tenant)} {'goes on' if was_paused else 'was not paused'}.")


@queue.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def show(*, as_json: bool) -> None:
    """Show what waits, by urgency and hospital, and what is paused."""
    with database() as sessions, sessions.begin() as session:
        pauses = [_pause(row) for row in list_pauses(session)]
        lines = waiting_lines(session, EVERYTHING)
    if as_json:
        waiting = [_document(line) for line in lines]
        click.echo(json.dumps({"pauses": pauses, "waiting": waiting}, indent=2))
        return
    for one in pauses:
        sentence = f"{_name(one['tenant'])} is paused since {one['since'][:16]} by {one['by']}:"
        out.print(f"{sentence} {one['reason']}", markup=False, soft_wrap=True)
    out.print(_table(lines))


def _tenant_id(session: Session, name: str | None) -> UUID | None:
    return None if name is None else tenant_named(session, name).id


def _name(tenant: str | None) -> str:
    return "The queue" if tenant is None else f"The queue of {tenant}"


def _pause(row: PauseRow) -> dict[str, Any]:
    return {
        "tenant": row.tenant.name if row.tenant else None,
        "since": row.since.isoformat(),
        "by": row.by,
        "reason": row.reason,
    }


def _document(line: Line) -> dict[str, Any]:
    return {
        "tenant": line.tenant,
        "priority": line.priority,
        "jobs": line.jobs,
        "slices": line.slices,
        "oldest_s": round(line.oldest_s, 1),
        "paused": line.paused,
        "empty_s": None if line.empty_s is None else round(line.empty_s, 1),
    }


def _table(lines: Sequence[Line]) -> Table:
    table = Table("priority", "tenant", "jobs", "slices", "oldest", "empty in", "", box=None)
    for line in lines:
        table.add_row(
            line.priority,
            line.tenant,
            str(line.jobs),
            str(line.slices),
            _minutes(line.oldest_s),
            _minutes(line.empty_s),
            "paused" if line.paused else "",
        )
    return table


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:.0f} min"
