# SPDX-License-Identifier: Apache-2.0
"""The doorbell: a message that there is work, sent by task name after the job is committed."""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError

from hilum.errors import QueueUnavailable
from hilum.jobs import MOST_RINGS, QUEUE, TAKE_TURN

PATIENCE: Final[Mapping[str, Any]] = {
    "socket_connect_timeout": 0.5,
    "socket_timeout": 1.0,
    # Without an end, kombu tries for ever to reach a broker that is down.
    "max_retries": 0,
}
"""Transport options: the broker answers at once or the request goes on without it."""

RETRY: Final[Mapping[str, Any]] = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
"""One more try: a kept connection may have died with the broker's last restart."""

log = structlog.get_logger(__name__)


class Bell:
    """Rings for jobs; nothing is lost where nobody hears, the upkeep rings again."""

    def __init__(self, redis_url: str) -> None:
        # It sends and never runs a task: no result back end, no imports, no torch.
        self._app = Celery("hilum", broker=redis_url, set_as_current=False)
        self._app.conf.update(
            broker_transport_options=dict(PATIENCE),
            broker_connection_retry=False,
            task_ignore_result=True,
            task_serializer="json",
        )

    def ring(self, times: int = 1) -> bool:
        """Tell workers that there are so many more jobs, and tell whether the broker took it."""
        try:
            for _ in range(min(times, MOST_RINGS)):
                self._app.send_task(
                    TAKE_TURN,
                    queue=QUEUE,
                    retry=True,
                    retry_policy=dict(RETRY),
                )
        except (CeleryError, KombuError, OSError) as error:
            log.warning("queue.unheard", error=type(error).__name__)
            return False
        return True

    def check(self) -> None:
        """Make sure that the broker answers.

        Raises:
            QueueUnavailable: it does not.
        """
        try:
            with self._app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=0, timeout=1)
        except (CeleryError, KombuError, OSError) as error:
            raise QueueUnavailable("The message broker does not answer.") from error

    def close(self) -> None:
        """Let go of the connections."""
        self._app.close()
