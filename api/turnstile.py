# SPDX-License-Identifier: Apache-2.0
"""Counts the requests of each hospital in a minute, by Redis: for all web servers together."""

import math
import time
from threading import Lock
from typing import Final

import structlog
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

from hilum.errors import TooManyRequests

WINDOW_S: Final = 60
"""Of any so many seconds: nobody gets twice as much on either side of a full minute."""

ANSWER_LIMIT_S: Final = 0.5
"""Redis answers within this, or the request goes on uncounted."""

AWAY_S: Final = 5.0
"""Redis that did not answer is left alone for so long: every request would wait for it."""

log = structlog.get_logger(__name__)


class Turnstile:
    """Lets hospitals through, so many times a minute."""

    def __init__(self, redis_url: str) -> None:
        self._pool = ConnectionPool.from_url(
            redis_url,
            socket_connect_timeout=ANSWER_LIMIT_S,
            socket_timeout=ANSWER_LIMIT_S,
            # A kept connection may have died with the last restart of Redis: one more try.
            retry=Retry(NoBackoff(), 1),
        )
        storage = RedisStorage(redis_url, self._pool, key_prefix="hilum", wrap_exceptions=True)
        self._limiter = MovingWindowRateLimiter(storage)
        self._lock = Lock()
        self._away_until = 0.0
        self._is_away = False

    def count(self, who: str, *, most: int) -> None:
        """Count a request of a hospital, or of an address; while Redis is away everybody is let through.

        Raises:
            TooManyRequests: it is one too many; it knows when the next one is let through.
        """
        if time.monotonic() < self._away_until:
            return
        limit = RateLimitItemPerSecond(most, WINDOW_S)
        try:
            free_at = self._hit(limit, who)
        except StorageError as error:
            self._leave_alone(error)
            return
        self._is_away = False
        if free_at is None:
            return
        wait_s = max(1, math.ceil(free_at - time.time()))
        raise TooManyRequests(
            f"{most} requests came in the last {WINDOW_S} s, expected at most {most}; the next one"
            f" is taken in {wait_s} s.",
            wait_s=wait_s,
        )

    def _hit(self, limit: RateLimitItem, who: str) -> float | None:
        """Count a request and return None; where it is one too many, return when there is room."""
        if self._limiter.hit(limit, who):
            return None
        return self._limiter.get_window_stats(limit, who).reset_time

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.disconnect()

    def _leave_alone(self, error: StorageError) -> None:
        with self._lock:
            is_news, self._is_away = not self._is_away, True
            self._away_until = time.monotonic() + AWAY_S
        # One line of an outage, however long it is.
        if is_news:
            log.warning("requests.uncounted", error=type(error.storage_error).__name__)
