# SPDX-License-Identifier: Apache-2.0
"""`hilum courier`: the process that sends results to archives."""

import signal
from threading import Event

import click

from api.parts import Parts
from api.push.courier import Courier
from cli.home import find_settings
from cli.terminal import narrate
from db.schema import check_migrated
from hilum.logs import configure_logs


@click.command(short_help="Send results to the archives of hospitals.")
def courier() -> None:
    """Send what jobs left to the archives that `hilum destinations` names.

    Several may run. Ctrl-C or SIGTERM ends it after the deliveries at hand.
    """
    settings = find_settings()
    configure_logs(settings)
    parts = Parts.assemble(settings)
    check_migrated(parts.engine)
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    running = Courier(parts)
    running.start()
    narrate("Delivering.")
    stopping.wait()
    running.stop()
    parts.close()
