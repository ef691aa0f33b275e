# SPDX-License-Identifier: Apache-2.0
"""Messages that a worker sends: ring for a job again, and have its client told of its end."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from celery import Celery
from kombu.exceptions import ChannelError

from hilum.jobs import ANALYSE, CALL_BACK, Priority
from worker.celery import SERVICE_QUEUE


class Doorbell:
    """The broker, as upkeep and runs use it."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def ring(self, job_id: UUID, priority: Priority) -> None:
        """Send a job's id to the queue of its priority."""
        self._app.send_task(ANALYSE, (str(job_id),), queue=priority.value)

    def announce(self, job_ids: Iterable[UUID]) -> None:
        """Have the callback address of each ended job called."""
        for job_id in job_ids:
            self._app.send_task(CALL_BACK, (str(job_id),), queue=SERVICE_QUEUE)

    def waiting(self, priority: Priority) -> int:
        """Return how many messages of a priority nobody has taken."""
        with self._app.connection_for_read() as connection:
            channel: Any = connection.default_channel
            try:
                queue = channel.queue_declare(priority.value, passive=True)
            except ChannelError:
                # Redis forgets a queue with its last message.
                return 0
        count: int = queue.message_count
        return count
