# SPDX-License-Identifier: Apache-2.0
"""`hilum workers`: who runs jobs, on what, who was lost, and who is to take no more."""

import json
from collections.abc import Sequence
from typing import Any

import click
from rich.table import Table

from cli.account import account
from cli.database import database
from cli.terminal import narrate, out
from db.audit import append
from db.drains import drain_worker, release_worker
from db.tables import WorkerRow
from db.workers import Seen, known_workers
from hilum.audit import Action, Entry

GIB = 2**30


@click.group(short_help="List and drain the processes that run jobs.")
def workers() -> None:
    """List and drain the processes that run jobs."""


@workers.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the workers as JSON.")
def list_(*, as_json: bool) -> None:
    """List the workers that live, and those that fell silent within a day."""
    with database() as sessions, sessions.begin() as session:
        found = known_workers(session)
    if as_json:
        click.echo(json.dumps([_document(seen) for seen in found], indent=2))
    else:
        out.print(_table(found))


@workers.command()
@click.argument("name")
def drain(name: str) -> None:
    """Have worker NAME finish the job at hand and take no more, until it is resumed."""
    with database() as sessions, sessions.begin() as session:
        is_new = drain_worker(session, name, by=account())
        if is_new:
            append(session, Entry(account(), Action.WORKER_DRAINED, subject=name))
    narrate(f"{name} {'takes' if is_new else 'was asked already to take'} no more jobs.")


@workers.command()
@click.argument("name")
def resume(name: str) -> None:
    """Let worker NAME take jobs again; `hilum beat` calls it within five seconds."""
    with database() as sessions, sessions.begin() as session:
        was_drained = release_worker(session, name)
        if was_drained:
            append(session, Entry(account(), Action.WORKER_RELEASED, subject=name))
    narrate(f"{name} {'takes jobs again' if was_drained else 'was not drained'}.")


def _table(found: Sequence[Seen]) -> Table:
    columns = ("worker", "state", "job", "done", "device", "networks", "memory", "GPU", "since")
    table = Table(*columns, box=None)
    for seen in found:
        row = seen.row
        table.add_row(
            row.name,
            seen.state,
            str(seen.job_id or ""),
            str(row.jobs_done),
            row.device,
            " ".join(row.networks),
            _gib(row.memory_bytes),
            _gpu(row),
            f"{row.started_at:%Y-%m-%d %H:%M}",
        )
    return table


def _gib(size: int | None) -> str:
    return "" if size is None else f"{size / GIB:.1f} GiB"


def _gpu(row: WorkerRow) -> str:
    if row.gpu is None:
        return ""
    used, total = row.gpu_memory_used_bytes, row.gpu_memory_total_bytes
    memory = "" if used is None else f", {_gib(used)} of {_gib(total)}"
    busy = "" if row.gpu_utilisation is None else f", {row.gpu_utilisation:.0%} busy"
    return f"{row.gpu}{memory}{busy}"


def _document(seen: Seen) -> dict[str, Any]:
    row = seen.row
    return {
        "name": row.name,
        "pid": row.pid,
        "state": seen.state,
        "job_id": seen.job_id and str(seen.job_id),
        "jobs_done": row.jobs_done,
        "device": row.device,
        "gpu": row.gpu,
        "networks": row.networks,
        "version": row.version,
        "memory_bytes": row.memory_bytes,
        "gpu_memory_used_bytes": row.gpu_memory_used_bytes,
        "gpu_memory_total_bytes": row.gpu_memory_total_bytes,
        "gpu_utilisation": row.gpu_utilisation,
        "started_at": row.started_at.isoformat(),
        "seen_at": row.seen_at.isoformat(),
    }
