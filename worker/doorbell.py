# SPDX-License-Identifier: Apache-2.0
"""Messages that a worker or the upkeep sends: there is work, come and take a turn."""

from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError

from hilum.jobs import QUEUE, TAKE_TURN


class Doorbell:
    """The broker, as upkeep and workers use it."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, times: int = 1) -> None:
        """Send so many messages, each for one turn of some worker."""
        with self._app.producer_or_acquire() as producer:
            for _ in range(times):
                self._app.send_task(TAKE_TURN, queue=QUEUE, producer=producer)

    def unanswered(self) -> int:
        """Return how many messages no worker has taken."""
        with self._app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            try:
                queue = channel.queue_declare(QUEUE, passive=True)
            except ChannelError:
                # Redis forgets a queue with its last message.
                return 0
        count: int = queue.message_count
        return count
