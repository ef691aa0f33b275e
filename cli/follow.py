# SPDX-License-Identifier: Apache-2.0
"""The way of a study, or of a batch, through a server: sent, waited for, read, reported."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from cli.client import Client, Order
from cli.packing import Parcel
from cli.progress import Board
from cli.terminal import narrate
from hilum.jobs import FINAL_STATES, Stage, State

PAGE: Final = "200"
"""Jobs that are asked for at a time."""


class JobFailed(click.ClickException):
    """The job ended without a report."""


def nothing() -> None:
    """Have nothing to do while a job runs."""


def send_and_follow(
    client: Client, path: Path, order: Order, *, meanwhile: Callable[[], None] = nothing
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
    client: Client, job_id: str, board: Board, meanwhile: Callable[[], None] = nothing
) -> Mapping[str, Any]:
    """Show a job's way on a board and return it once it has succeeded.

    Raises:
        JobFailed: it failed or was cancelled.
    """
    # Whoever has something to do meanwhile wants a turn more often than a quiet stream speaks.
    looks = client.jobs if meanwhile is not nothing else client.follow
    for job in looks(job_id):
        meanwhile()
        show(job, board)
    if job["state"] != State.SUCCEEDED:
        raise JobFailed(f"Job {job_id} {outcome(job)}")
    return job


def follow_batch(client: Client, batch_id: str) -> Mapping[str, Any]:
    """Say how a batch goes on, and return it once it is finished."""
    said = ""
    for batch in client.batches(batch_id):
        if (line := standing(batch)) != said:
            narrate(line)
        said = line
    return batch


def standing(batch: Mapping[str, Any]) -> str:
    """Say where the jobs of a batch stand."""
    counts = ", ".join(f"{count} {state}" for state, count in batch["jobs"].items() if count)
    eta = "" if batch["eta_s"] is None else f", about {batch['eta_s']:.0f} s left"
    return f"{batch['fraction']:.0%} of {batch['total']} jobs: {counts or 'none yet'}{eta}"


def check_batch(batch: Mapping[str, Any]) -> None:
    """Make sure that every job of a finished batch has a report.

    Raises:
        JobFailed: some have none.
    """
    lacking = batch["total"] - batch["jobs"][State.SUCCEEDED]
    if lacking:
        raise JobFailed(
            f"{lacking} of {batch['total']} jobs of batch {batch['id']} have no report."
        )


def jobs_of(client: Client, batch_id: str) -> Iterator[Mapping[str, Any]]:
    """Yield every job of a batch, the oldest first."""
    query = {"batch_id": batch_id, "sort": "created_at", "limit": PAGE}
    while True:
        answer = client.get("/v1/jobs", **query)
        yield from answer["items"]
        if answer["next_cursor"] is None:
            return
        query["cursor"] = answer["next_cursor"]


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
