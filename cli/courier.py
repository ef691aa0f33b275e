# SPDX-License-Identifier: Apache-2.0
"""`hilum courier`: the process that sends results to archives."""

import click

from api.push.courier import Courier
from cli.service import service
from cli.terminal import narrate


@click.command(short_help="Send results to the archives of hospitals.")
def courier() -> None:
    """Send what jobs left to the archives that `hilum destinations` names.

    Several may run. Ctrl-C or SIGTERM ends it after the deliveries at hand.
    """
    with service() as (parts, stopping):
        crew = Courier(parts).crew()
        crew.start()
        narrate("Delivering.")
        stopping.wait()
        crew.stop()
