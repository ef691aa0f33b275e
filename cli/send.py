# SPDX-License-Identifier: Apache-2.0
"""`hilum send`: a study to a server, and its report back."""

from pathlib import Path

import click

from cli.client import Client, Order
from cli.connection import with_client
from cli.findings import show_report
from cli.follow import send_and_follow
from cli.packing import Parcel
from cli.progress import Board
from cli.terminal import narrate, out
from hilum.jobs import Priority


@click.command(short_help="Send a study and follow its job.")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--pipeline", help="The server's first pipeline if not given.")
@click.option("--network", help="The server's usual network if not given.")
@click.option(
    "--priority", type=click.Choice([each.value for each in Priority]), help="routine if not given."
)
@click.option("--callback-url", help="Address that is told when the job has ended.")
@click.option("--idempotency-key", help="The same key answers the same job.")
@click.option("--no-wait", is_flag=True, help="Print the job id once the study has arrived.")
@with_client
def send(client: Client, /, path: Path, *, no_wait: bool, **wishes: str | None) -> None:
    """Send the study in PATH, a folder or a zip of DICOM files, and show its report.

    The server is HILUM_API_URL and the key HILUM_API_KEY, or the `hilum serve` of this folder.
    """
    order = Order(**wishes)
    if no_wait:
        with Board() as board:
            job = client.send_study(Parcel.of(path), order, board.upload)
        out.print(job["id"], soft_wrap=True)
        return
    job = send_and_follow(client, path, order)
    show_report(client.get(job["links"]["report"]))
    narrate(f"Job {job['id']}")
