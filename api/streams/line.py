# SPDX-License-Identifier: Apache-2.0
"""The connection that a stream is written to, as far as its thread must know of it."""

import select
import socket
from contextlib import suppress
from typing import Any, Final

HUNG_UP: Final = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)
"""The client went away; where the last one is unknown, the next heartbeat finds out."""

SLOW_S: Final = 10.0
"""A client that takes nothing for so long is dropped."""


class Line:
    """One client's connection."""

    def __init__(self, connection: socket.socket | None) -> None:
        self._connection = connection
        self._poll = select.poll()
        if connection is not None:
            self._poll.register(connection.fileno(), select.POLLOUT | HUNG_UP)

    @classmethod
    def of(cls, environ: dict[str, Any]) -> "Line":
        """Return the line of a request; one that is always well where the server shows no socket."""
        return cls(environ.get("gunicorn.socket"))

    def is_gone(self) -> bool:
        """Tell whether the client has gone away."""
        return any(state & HUNG_UP for _, state in self._poll.poll(0))

    def takes_more(self) -> bool:
        """Tell whether more can be sent, after waiting for a client that is slow.

        A write to a full connection would hold its thread for as long as the client likes.
        """
        if self._connection is None:
            return True
        states = self._poll.poll(SLOW_S * 1000)
        return bool(states) and not any(state & HUNG_UP for _, state in states)

    def cut(self) -> None:
        """End the connection, whatever is on its way."""
        if self._connection is not None:
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
