# SPDX-License-Identifier: Apache-2.0
"""`hilum dimse`: the service that scanners send to."""

import click

from api.dimse import PORT, Scp
from api.gatherer import Gatherer
from cli.service import service
from cli.terminal import narrate


@click.command(short_help="Run the DICOM service that scanners send to.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(1, 65535))
def dimse(host: str, port: int) -> None:
    """Run the DICOM service that scanners send to; `hilum titles` says who may.

    The settings come from the environment, else from the `hilum serve` of this folder; Ctrl-C or
    SIGTERM ends it after the instance at hand.
    """
    with service() as (parts, stopping):
        server, gatherer = Scp(parts).listen(host, port), Gatherer(parts)
        gatherer.start()
        narrate(f"Listening for scanners on {host}:{port}.")
        stopping.wait()
        server.shutdown()
        gatherer.stop()
