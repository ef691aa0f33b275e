# SPDX-License-Identifier: Apache-2.0
"""`hilum worker`: one process that segments, for one GPU or for the CPU."""

import os
import sys
from collections.abc import Mapping
from typing import Final

import click

from hilum.jobs import Priority
from hilum.settings import Settings

QUEUES: Final = ",".join(Priority)
"""Every queue, the most urgent first."""


def celery_arguments(*, queues: str = QUEUES, beat: bool = False) -> list[str]:
    """Return what follows `python` on the command line of a worker; worker.celery sets the rest."""
    arguments = ["-m", "celery", "--app=worker.app", "worker", f"--queues={queues}"]
    # Workers have nothing to tell each other: the database knows.
    quiet = ["--without-gossip", "--without-mingle"]
    return [*arguments, *quiet, *(["--beat"] if beat else [])]


def soft_stop(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which SIGTERM gives the job at hand a limited time to finish.

    Otherwise Celery would wait for it to end, however long that takes.
    """
    return {**environment, "REMAP_SIGTERM": "SIGQUIT"}


@click.command(short_help="Run a worker: one process for each GPU.")
@click.option("--queues", default=QUEUES, show_default=True, help="Priorities it serves.")
def worker(queues: str) -> None:
    """Run a worker; the settings come from the environment."""
    Settings.from_environment()
    arguments = celery_arguments(queues=queues)
    command = [sys.executable, *arguments]
    os.execve(sys.executable, command, soft_stop(os.environ))  # noqa: S606 - Celery takes this process's place
