# SPDX-License-Identifier: Apache-2.0
"""Addresses of clients' own servers, looked at before anything is to be sent there.

The courier looks again at the address it connects to, for a name may point elsewhere by then; this
is so that a client hears of a mistake at once.
"""

import socket
from typing import Final
from urllib.parse import urlsplit

from hilum.addresses import is_public
from hilum.errors import UnsafeCallback

SCHEMES: Final = frozenset({"http", "https"})
LONGEST: Final = 2048
"""Characters of an address."""


def check_callback(url: str, *, allow_private: bool) -> None:
    """Make sure that an address of a webhook, or the callback_url of a job, may be called.

    Raises:
        UnsafeCallback: it is no plain web address, or it leads into a private network.
    """
    host, port = _parse(url)
    if allow_private:
        return
    for address in _addresses(host, port):
        if not is_public(address):
            raise UnsafeCallback(
                f"The address leads to {address}, expected a public address."
                " HILUM_CALLBACK_PRIVATE=true allows private ones."
            )


def _parse(url: str) -> tuple[str, int]:
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url:
        raise UnsafeCallback(
            f"The address has {len(url)} characters, or some that no address has; expected at"
            f" most {LONGEST} plain ones."
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError as error:
        raise UnsafeCallback(f"The address is none: {error}.") from error
    if parts.scheme not in SCHEMES or not host:
        raise UnsafeCallback(
            f"The address has scheme {parts.scheme!r} and host {host!r}, expected http or https"
            " and a host."
        )
    if parts.username is not None or parts.password is not None:
        raise UnsafeCallback("The address carries a user name or password, expected neither.")
    return host, port


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        # A name service may be slow or away for a moment; the courier asks it again.
        return []
    return [str(entry[4][0]) for entry in found]
