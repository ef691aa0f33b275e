# SPDX-License-Identifier: Apache-2.0
"""`hilum beat`: the clock that rings the upkeep."""

import os
import sys

import click

from hilum.settings import Settings


@click.command(short_help="Ring the upkeep every few seconds; one for all workers.")
def beat() -> None:
    """Ring the upkeep every few seconds; one for all workers, a second one does no harm."""
    Settings.from_environment()
    arguments = ["-m", "celery", "--app=worker.beat", "beat", "--pidfile="]
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - Celery takes this process's place
