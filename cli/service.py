# SPDX-License-Identifier: Apache-2.0
"""What the services beside the web server share: how they begin, and how they are asked to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event

from api.parts import Parts
from cli.home import find_settings
from db.schema import check_migrated
from hilum.errors import StorageUnavailable
from hilum.logs import configure_logs
from hilum.settings import Settings
from hilum.storage import StudyStore


@contextmanager
def service() -> Iterator[tuple[Parts, Event]]:
    """Yield what a service works with, and what Ctrl-C or SIGTERM sets.

    The settings come from the environment, else from the `hilum serve` of this folder.

    Raises:
        MissingSetting: there are none.
        UnusableStorage: they name a store that cannot be used.
        PendingMigrations: the database is older than this code.
    """
    settings = find_settings()
    configure_logs(settings)
    check_store(settings)
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


def check_store(settings: Settings) -> None:
    """Make sure that the settings name a store that can be used; it may be away for a moment.

    Raises:
        UnusableStorage: they do not.
    """
    # Web server and services wait for a store that is away, as they do for a database.
    with suppress(StorageUnavailable):
        StudyStore.open(settings.storage_url).check()
