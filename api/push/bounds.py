# SPDX-License-Identifier: Apache-2.0
"""Where an archive may lie that an admin of one hospital named, looked at before it is connected to."""

import socket
from typing import Final
from urllib.parse import urlsplit

from hilum.addresses import is_within, parse_networks
from hilum.destinations import Address, Dimse
from hilum.errors import NotPermitted, Undelivered
from hilum.settings import Settings

WHOM_TO_ASK: Final = (
    "Ask somebody who administers all hospitals to name it, or to widen HILUM_DESTINATION_NETWORKS."
)


def place_of(to: Address, settings: Settings) -> str:
    """Return the host to connect to: of a bounded archive an IP address, so that nothing moves after the look.

    Args:
        to: the archive.
        settings: of the networks.

    Raises:
        NotPermitted: the archive is bounded, and an address of its host is in none of the networks.
        Undelivered: its host has no address at present.
    """
    host = host_of(to)
    if not to.is_bounded:
        return host
    networks = parse_networks(settings.destination_networks)
    if not networks:
        raise NotPermitted(
            f"Admins of one hospital name no archives in this installation. {WHOM_TO_ASK}"
        )
    addresses = _addresses(host)
    if not addresses:
        raise Undelivered(f"{to} has no address: its name is not known.")
    if not all(is_within(one, networks) for one in addresses):
        raise NotPermitted(
            f"{host} lies outside of the networks in which an admin of one hospital may name"
            f" archives. {WHOM_TO_ASK}"
        )
    # As pynetdicom chooses: many archives listen at their fourth version alone.
    return min(addresses, key=lambda one: ":" in one)


def host_of(to: Address) -> str:
    """Return the host of an archive, as it was named."""
    return to.host if isinstance(to, Dimse) else urlsplit(to.url).hostname or ""


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(entry[4][0]) for entry in found]
