# SPDX-License-Identifier: Apache-2.0
"""What the services beside the web server share: how they begin, and how they are asked to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from api.parts import Parts
from cli.home import find_settings
from db.schema import check_migrated
from hilum.logs import configure_logs


@contextmanager
def service() -> Iterator[tuple[Parts, Event]]:
    """Yield what a service works with, and what Ctrl-C or SIGTERM sets.

    The settings come from the environment, else from the `hilum serve` of this folder.

    Raises:
        MissingSetting: there are none.
        PendingMigrations: the database is older than this code.
    """
    settings = find_settings()
    configure_logs(settings)
    parts = Parts.assemble(settings)
    check_migrated(parts.engine)
    yield parts, until_told()
    parts.close()


def until_told() -> Event:
    """Return what Ctrl-C or SIGTERM sets from now on."""
    stopping = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    return stopping
