# SPDX-License-Identifier: Apache-2.0
"""A POST to an address that a client chose, which is led nowhere else by it and waits for nobody."""

import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpcore
from typing_extensions import override

from hilum.addresses import is_public
from hilum.errors import Undelivered, UnsafeCallback

STEP_S: Final = 5.0
"""For each step of a call: to connect, to shake hands, to write, to answer."""

WHOLE_S: Final = 15.0
"""For all of them: a server that answers a byte every few seconds would hold a courier for days."""

HEADERS: Final = (("Content-Type", "application/json"), ("User-Agent", "hilum"))

NO_ANSWER: Final = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> int:
    """Post a body and return the HTTP status of the answer, whose own body is nobody's business.

    Args:
        url: where to.
        body: to the byte.
        headers: beside those that every request has.
        allow_private: whether the address may be one of a private network.

    Raises:
        Undelivered: nothing came back in time.
        UnsafeCallback: the address leads into a private network.
    """
    backend = Guard(time.monotonic() + WHOLE_S, allow_private=allow_private)
    sent = [*HEADERS, *headers.items()]
    limits = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), STEP_S)}
    try:
        # No redirects, no proxies, no cookies; certificates are checked.
        with (
            httpcore.ConnectionPool(network_backend=backend) as pool,
            pool.stream("POST", url, headers=sent, content=body, extensions=limits) as response,
        ):
            return response.status
    except NO_ANSWER as error:
        # Its message may quote the address, whose path may hold a secret of the receiver's.
        raise Undelivered(f"The server does not answer ({type(error).__name__}).") from error


class Guard(httpcore.SyncBackend):
    """Connects to public addresses alone, and only until a deadline.

    The check is on the very address that is connected to: a name that was harmless when it was
    given may point into the hospital's own network by now.
    """

    def __init__(self, deadline: float, *, allow_private: bool) -> None:
        self._deadline = deadline
        self._allow_private = allow_private

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host, where every one of its addresses is public.

        Raises:
            UnsafeCallback: one of them is not.
        """
        found = self._resolve(host, port)
        for place, address in enumerate(found, 1):
            try:
                stream = super().connect_tcp(
                    address, port, left(self._deadline, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                # A host with a sixth version that leads nowhere is reached by its fourth.
                if place == len(found):
                    raise
            else:
                return Hurried(stream, self._deadline)
        raise httpcore.ConnectError("The host has no address.")

    def _resolve(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(type(error).__name__) from error
        addresses = [str(entry[4][0]) for entry in found]
        if not self._allow_private and not all(map(is_public, addresses)):
            raise UnsafeCallback("The address leads into a private network, expected a public one.")
        return addresses


class Hurried(httpcore.NetworkStream):
    """A connection that is of no use after a deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has come."""
        return self._stream.read(max_bytes, left(self._deadline, timeout))

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._stream.write(buffer, left(self._deadline, timeout))

    @override
    def close(self) -> None:
        """Hang up."""
        self._stream.close()

    @override
    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """Shake hands."""
        allowed = left(self._deadline, timeout)
        return Hurried(
            self._stream.start_tls(ssl_context, server_hostname, allowed), self._deadline
        )

    @override
    def get_extra_info(self, info: str) -> Any:
        """Say what is known of the connection."""
        return self._stream.get_extra_info(info)


def left(deadline: float, timeout: float | None) -> float:
    """Return how long a step may take, in seconds.

    Raises:
        httpcore.TimeoutException: no time is left for it.
    """
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise httpcore.TimeoutException(f"It took longer than {WHOLE_S:.0f} s.")
    return min(remaining, timeout or remaining)
