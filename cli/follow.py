# SPDX-License-Identifier: Apache-2.0
"""A study's way through a server, on a board: sent, waited for, read, reported."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from cli.client import Client, Order
from cli.packing import Parcel
from cli.progress import Board
from cli.terminal import narrate
from hilum.jobs import FINAL_STATES, Stage, State


class JobFailed(click.ClickException):
    """The job ended without a report."""


def send_and_follow(
    client: Client, path: Path, order: Order, *, meanwhile: Callable[[], None] = lambda: None
) -> Mapping[str, Any]:
    """Send a study, show its way, and return its job once it has succeeded.

    Args:
        client: of the server.
        path: a folder, a zip, or one DICOM file.
        order: what to do with it.
        meanwhile: called at every look at the job.

    Raises:
        JobFailed: the job failed or was cancelled.
    """
    with Board() as board:
        job = client.send_study(Parcel.of(path), order, board.upload)
        if job["state"] in FINAL_STATES:
            narrate("This study was sent before; here is what came of it.")
        return follow(client, job["id"], board, meanwhile)


def follow(
    client: Client, job_id: str, board: Board, meanwhile: Callable[[], None] = lambda: None
) -> Mapping[str, Any]:
    """Show a job's way on a board and return it once it has succeeded.

    Raises:
        JobFailed: it failed or was cancelled.
    """
    for job in client.jobs(job_id):
        meanwhile()
        show(job, board)
    if job["state"] != State.SUCCEEDED:
        raise JobFailed(f"Job {job_id} {outcome(job)}")
    return job


def show(job: Mapping[str, Any], board: Board) -> None:
    """Bring a board up to date with a job."""
    if job["state"] == State.QUEUED:
        board.queue(job["queue_position"], job["eta_s"])
    elif job["state"] == State.SUCCEEDED:
        board.finish()
    elif job["state"] == State.RUNNING and job["stage"]:
        slices = job["slices"]
        counted = job["stage"] == Stage.SLICES
        done, total = (slices["done"], slices["total"]) if counted else (0, 0)
        board.stage(Stage(job["stage"]), done, total)


def outcome(job: Mapping[str, Any]) -> str:
    """Say how a job ended without a report."""
    error = job["error"]
    if error:
        return f"failed: {error['message']} [{error['code']}]"
    return f"was {job['state']}."
