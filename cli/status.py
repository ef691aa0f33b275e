# SPDX-License-Identifier: Apache-2.0
"""`hilum status`: where jobs stand."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from rich.table import Table

from cli.client import Client
from cli.connection import with_client
from cli.follow import follow, follow_batch, jobs_of, standing
from cli.progress import Board
from cli.terminal import out
from hilum.jobs import Stage, State


@click.command(short_help="Show where jobs stand.")
@click.argument("job_id", required=False)
@click.option("--batch", help="Show the batch of this id, and its jobs.")
@click.option(
    "--follow", "--watch", "watch", is_flag=True, help="Follow the job, or the batch, to its end."
)
@click.option(
    "--state",
    type=click.Choice([each.value for each in State]),
    help="Of a list: only jobs in this state.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@click.option("--json", "as_json", is_flag=True, help="Print the server's answer.")
@with_client
def status(
    client: Client,
    /,
    job_id: str | None,
    batch: str | None,
    state: str | None,
    limit: int,
    *,
    watch: bool,
    as_json: bool,
) -> None:
    """Show one job, a batch, or the newest jobs."""
    if batch is not None:
        _show_batch(client, batch, watch=watch, as_json=as_json)
        return
    if job_id is None:
        chosen = {"state": state} if state else {}
        answer = client.get("/v1/jobs", limit=str(limit), sort="-created_at", **chosen)
    elif watch:
        with Board() as board:
            answer = follow(client, job_id, board)
    else:
        answer = client.get(f"/v1/jobs/{job_id}")
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        out.print(job_table([answer] if job_id else answer["items"]))


def _show_batch(client: Client, batch_id: str, *, watch: bool, as_json: bool) -> None:
    batch = follow_batch(client, batch_id) if watch else client.get(f"/v1/batches/{batch_id}")
    if as_json:
        click.echo(json.dumps(batch, indent=2))
        return
    out.print(standing(batch), soft_wrap=True)
    out.print(job_table(list(jobs_of(client, batch_id))))


def job_table(jobs: list[Mapping[str, Any]]) -> Table:
    """Return jobs as a table."""
    table = Table("job", "state", "done", "priority", "network", "sent", "note", box=None)
    for job in jobs:
        table.add_row(
            job["id"],
            job["state"],
            f"{job['fraction']:.0%}",
            job["priority"],
            job["network"],
            job["created_at"][:19].replace("T", " "),
            _note(job),
        )
    # An id that is folded cannot be copied.
    table.columns[0].no_wrap = True
    return table


def _note(job: Mapping[str, Any]) -> str:
    if job["error"]:
        return f"{job['error']['message']} [{job['error']['code']}]"
    if job["state"] == State.RUNNING:
        counted = job["stage"] == Stage.SLICES
        count = f" {job['slices']['done']} of {job['slices']['total']}" if counted else ""
        return f"{job['stage'] or ''}{count}"
    if job["state"] == State.SUCCEEDED and job["expected_s"] is not None:
        return f"took {_took_s(job):.0f} s, expected {job['expected_s']:.0f} s"
    place, eta_s = job.get("queue_position"), job.get("eta_s")
    words = [] if place is None else ["next" if place == 0 else f"{place} ahead"]
    return ", ".join(words if eta_s is None else [*words, f"about {eta_s:.0f} s"])


def _took_s(job: Mapping[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(job[name]) for name in ("queued_at", "finished_at"))
    return (ended - began).total_seconds()
