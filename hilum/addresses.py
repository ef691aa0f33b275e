# SPDX-License-Identifier: Apache-2.0
"""Which network addresses a client may have Hilum call, and which are this machine's own."""

import ipaddress
from collections.abc import Iterable
from typing import Final

TRANSLATED: Final = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("64:ff9b:1::/48"), 0),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
)
"""Networks of IPv6 behind which an IPv4 address is called, and how far left it stands in them.

Source: RFC 6052 (NAT64), RFC 8215, RFC 4291, 2.5.5.1, RFC 3056 (6to4).
"""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NOT_PUBLIC: Final = (
    ipaddress.ip_network("192.0.0.0/24"),
    # Answers the machines of one cloud, each by itself, and nobody outside.
    ipaddress.ip_network("168.63.129.16/32"),
    ipaddress.ip_network("fec0::/10"),
)
"""Beside what Python's table has, which differs between its versions."""


def is_public(text: str) -> bool:
    """Tell whether an IP address, in text, is one of the public internet."""
    address = _parse(text)
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in NOT_PUBLIC)
    )


def is_loopback(text: str) -> bool:
    """Tell whether an IP address, in text, is one that only this machine can call from."""
    return _parse(text).is_loopback


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read networks with commas between them: `10.1.0.0/16, fd00:1::/48`; one address is one, too.

    Raises:
        ValueError: one of them is none.
    """
    named = (one.strip() for one in text.split(","))
    return tuple(ipaddress.ip_network(one) for one in named if one)


def is_within(text: str, networks: Iterable[Network]) -> bool:
    """Tell whether an IP address, in text, is of one of some networks."""
    address = _parse(text)
    return any(address in network for network in networks)


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # A zone after "%" names an interface of this machine, not a part of the address.
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    for network, shift in TRANSLATED:
        if address in network and int(address) > 1:
            return ipaddress.IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address
