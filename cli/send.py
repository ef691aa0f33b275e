# SPDX-License-Identifier: Apache-2.0
"""`hilum send`: studies to a server, and their reports back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from cli.client import Client, Order
from cli.connection import with_client
from cli.findings import show_report
from cli.follow import JobFailed, check_batch, follow_batch, jobs_of, send_and_follow
from cli.packing import Parcel
from cli.progress import Board
from cli.status import job_table
from cli.terminal import narrate, out
from hilum.errors import InputError
from hilum.jobs import Priority


@click.command(short_help="Send studies and follow their jobs.")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--pipeline", help="The server's first pipeline if not given.")
@click.option("--network", help="The server's usual network if not given.")
@click.option(
    "--priority", type=click.Choice([each.value for each in Priority]), help="routine if not given."
)
@click.option("--callback-url", help="Address that is told when the job has ended.")
@click.option("--idempotency-key", help="The same key answers the same job.")
@click.option("--label", help="What the batch of several studies is called.")
@click.option("--no-wait", is_flag=True, help="Print the id once everything has arrived.")
@with_client
def send(
    client: Client,
    /,
    paths: tuple[Path, ...],
    label: str | None,
    *,
    no_wait: bool,
    **wishes: str | None,
) -> None:
    """Send the study in each of PATHS, a folder or a zip of DICOM files, and show its report.

    Several studies are a batch: they are followed together, and what became of them is listed.
    The server is HILUM_API_URL and the key HILUM_API_KEY, or the `hilum serve` of this folder.
    """
    order = Order(**wishes)
    if len(paths) == 1:
        _send_one(client, paths[0], order, no_wait=no_wait)
        return
    if order.idempotency_key is not None:
        raise click.UsageError("An idempotency key stands for one study.")
    _send_batch(client, paths, order, label, no_wait=no_wait)


def _send_one(client: Client, path: Path, order: Order, *, no_wait: bool) -> None:
    if no_wait:
        with Board() as board:
            job = client.send_study(Parcel.of(path), order, board.upload)
        out.print(job["id"], soft_wrap=True)
        return
    job = send_and_follow(client, path, order)
    show_report(client.get(job["links"]["report"]))
    narrate(f"Job {job['id']}")


def _send_batch(
    client: Client, paths: Sequence[Path], order: Order, label: str | None, *, no_wait: bool
) -> None:
    named = {"label": label} if label else {}
    batch_id = client.post("/v1/batches", named)["id"]
    refused = _send_each(client, paths, replace(order, batch=batch_id))
    client.post(f"/v1/batches/{batch_id}/close", {})
    if no_wait:
        out.print(batch_id, soft_wrap=True)
    else:
        batch = follow_batch(client, batch_id)
        out.print(job_table(list(jobs_of(client, batch_id))))
        check_batch(batch)
    if refused:
        raise JobFailed(f"{refused} of {len(paths)} studies were refused.")


def _send_each(client: Client, paths: Sequence[Path], order: Order) -> int:
    """Send studies one after the other, and return how many were refused; none stops the others."""
    refused = 0
    for path in paths:
        narrate(f"{path}")
        try:
            with Board() as board:
                client.send_study(Parcel.of(path), order, board.upload)
        except InputError as error:
            refused += 1
            narrate(f"{path}: {error.message} [{error.code}]")
    return refused
