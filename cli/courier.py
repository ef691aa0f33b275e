# SPDX-License-Identifier: Apache-2.0
"""`hilum courier`: the process that sends results to archives, and news to servers of hospitals."""

import click

from api.push.courier import Courier
from api.push.notifier import Notifier
from cli.service import service
from cli.terminal import narrate


@click.command(short_help="Send results to archives, and news to servers.")
def courier() -> None:
    """Send what jobs left to the archives that `hilum destinations` names, and tell webhooks.

    Several may run. Ctrl-C or SIGTERM ends it after the deliveries at hand.
    """
    with service() as (parts, stopping):
        crews = [Courier(parts).crew(), Notifier(parts).crew()]
        for crew in crews:
            crew.start()
        narrate("Delivering.")
        stopping.wait()
        for crew in crews:
            crew.dismiss()
        for crew in crews:
            crew.stop()
