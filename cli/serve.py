# SPDX-License-Identifier: Apache-2.0
"""`hilum serve`: the whole system on one machine, until Ctrl-C."""

from pathlib import Path

import click

from cli.home import DEFAULT_HOME, Home
from cli.processes import ended_by_signals
from cli.system import System, running_system
from cli.terminal import narrate, notes

home_option = click.option(
    "--home",
    type=click.Path(path_type=Path, file_okay=False),
    default=DEFAULT_HOME,
    show_default=True,
    help="Folder for data, logs and the key.",
)
host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen at."
)
port_option = click.option(
    "--port",
    default=8080,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="Port to listen at, or the next free one.",
)


@click.command(short_help="Run the whole system on this machine.")
@home_option
@host_option
@port_option
def serve(home: Path, host: str, port: int) -> None:
    """Run database, queue, web server and worker on this machine, until Ctrl-C.

    PostgreSQL and Valkey come along, unless HILUM_DATABASE_URL and HILUM_REDIS_URL name others.
    """
    with (
        ended_by_signals(),
        running_system(Home.open(home), host=host, port=port, say=narrate) as system,
    ):
        introduce(system)
        system.family.watch_for_ever()
    narrate("Stopped.")


def introduce(system: System) -> None:
    """Say where everything is."""
    narrate(f"Hilum serves at {system.url}")
    notes(
        {
            "open": system.entrance(),
            "HTTP API": f"{system.url}/docs",
            "API key": str(system.home.folder / "key"),
            "data": str(system.home.folder),
            "logs": str(system.home.logs),
        }
    )
    narrate("Ctrl-C stops everything.")
