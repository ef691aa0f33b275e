# SPDX-License-Identifier: Apache-2.0
"""Threads that look for something to send, again and again, until they are told to stop."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Final

import structlog

from hilum.logs import describe_crash

LOOK_EVERY_S: Final = 1.0
"""Between two looks where nothing was due."""

log = structlog.get_logger(__name__)


class Crew:
    """As many threads as may send at the same time."""

    def __init__(self, name: str, size: int, send_one: Callable[[], bool]) -> None:
        """Hire them.

        Args:
            name: of the threads, and in the log.
            size: how many.
            send_one: sends what has been due longest; false where nothing is due.
        """
        self._name = name
        self._send_one = send_one
        self._stopping = Event()
        self._threads = [
            Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(size)
        ]

    def start(self) -> None:
        """Begin to send."""
        for thread in self._threads:
            thread.start()

    def dismiss(self) -> None:
        """Ask them to end after what is at hand, and do not wait for it."""
        self._stopping.set()

    def stop(self) -> None:
        """End after what is at hand."""
        self.dismiss()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                found = self._send_one()
            except Exception as error:  # noqa: BLE001 - the thread must outlive what it meets
                found = False
                log.error("courier.unavailable", crew=self._name, **describe_crash(error))  # noqa: TRY400 - a driver's message names hosts
            if not found:
                self._stopping.wait(LOOK_EVERY_S)
