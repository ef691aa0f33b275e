# SPDX-License-Identifier: Apache-2.0
"""`hilum api`: the web server."""

import os
import sys

import click

from cli.service import check_store
from hilum.settings import Settings


def gunicorn_arguments(*, bind: str, workers: int, threads: int) -> list[str]:
    """Return what follows `python` on the command line of the web server."""
    return [
        "-m",
        "gunicorn",
        "--config=python:api.gunicorn_conf",
        f"--bind={bind}",
        f"--workers={workers}",
        f"--threads={threads}",
        "api.wsgi:app",
    ]


@click.command(short_help="Run the web server.")
@click.option("--bind", default="127.0.0.1:8080", show_default=True, help="Address and port.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option(
    "--threads",
    default=16,
    show_default=True,
    type=click.IntRange(1),
    help="Threads of each for requests; streams have more.",
)
def api(bind: str, workers: int, threads: int) -> None:
    """Run the web server; the settings come from the environment."""
    # What no restart mends is told here once, not by each of gunicorn's processes in a traceback.
    check_store(Settings.from_environment())
    arguments = gunicorn_arguments(bind=bind, workers=workers, threads=threads)
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - gunicorn takes this process's place
