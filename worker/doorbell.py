# SPDX-License-Identifier: Apache-2.0
"""Messages that a worker or the upkeep sends: there is work, come and take a turn."""

from typing import Final

from celery import Celery
from redis import Redis, RedisError

from hilum.errors import QueueUnavailable
from hilum.jobs import MOST_RINGS, QUEUE, TAKE_TURN

PATIENCE_S: Final = 5.0
"""For an answer of the broker."""


class Doorbell:
    """The broker, as upkeep and workers use it."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        # Celery would open a connection for each question.
        self._redis = Redis.from_url(
            app.conf.broker_url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S
        )

    def ring(self, times: int = 1) -> None:
        """Send so many messages, each for one turn of some worker."""
        with self._app.producer_or_acquire() as producer:
            for _ in range(times):
                self._app.send_task(TAKE_TURN, queue=QUEUE, producer=producer)

    def ring_for(self, due: int, *, most: int = MOST_RINGS) -> int:
        """Ring where fewer messages wait than jobs that may be taken; return how often.

        Args:
            due: how many jobs may be taken, counted up to `MOST_RINGS`.
            most: messages to send.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        missing = min(due - self.unanswered(), most) if due else 0
        if missing > 0:
            self.ring(missing)
        return max(missing, 0)

    def unanswered(self) -> int:
        """Return how many messages no worker has taken.

        Raises:
            QueueUnavailable: the broker does not answer.
        """
        try:
            return int(self._redis.llen(QUEUE))
        except RedisError as error:
            raise QueueUnavailable("The message broker does not answer.") from error
