# SPDX-License-Identifier: Apache-2.0
"""`hilum worker`: one process that segments, for one GPU or for the CPU."""

import os
import sys
from collections.abc import Mapping
from typing import Final

import click

from hilum.settings import Settings

ARGUMENTS: Final = (
    *("-m", "celery", "--app=worker.app", "worker"),
    # Workers have nothing to tell each other: the database knows.
    *("--without-gossip", "--without-mingle"),
)
"""What follows `python` on the command line of a worker; worker.celery sets the rest."""


def soft_stop(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which SIGTERM gives the job at hand a limited time to finish.

    Otherwise Celery would wait for it to end, however long that takes.
    """
    return {**environment, "REMAP_SIGTERM": "SIGQUIT"}


@click.command(short_help="Run a worker: one process for each GPU.")
def worker() -> None:
    """Run a worker; the settings come from the environment."""
    Settings.from_environment()
    command = [sys.executable, *ARGUMENTS]
    os.execve(sys.executable, command, soft_stop(os.environ))  # noqa: S606 - Celery takes this process's place
