# SPDX-License-Identifier: Apache-2.0
"""Work that is done a little later, in a thread beside the one that gives it."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

MOST: Final = 16
"""Pieces of work that wait; those of an upload hold as many chunks of it."""


class Behind:
    """Does one thing after another, in the order they were given.

    Reading from a socket, hashing and writing to a disk each leave Python to others meanwhile.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "behind")
        self._waiting: deque[Future[Any]] = deque()

    def do(self, act: Callable[..., Any], *arguments: Any) -> None:
        """Give something to do; wait where too much waits already.

        Raises:
            Exception: what a thing that was given before has raised.
        """
        if len(self._waiting) >= MOST:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(act, *arguments))

    def finish(self) -> None:
        """Wait until everything is done.

        Raises:
            Exception: what one of the things has raised.
        """
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """End the thread; what it has not begun is left undone."""
        self._pool.shutdown(cancel_futures=True)
