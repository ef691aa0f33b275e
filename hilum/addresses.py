# SPDX-License-Identifier: Apache-2.0
"""Which network addresses a client may have Hilum call, and which are this machine's own."""

import ipaddress


def is_public(text: str) -> bool:
    """Tell whether an IP address, in text, is one of the public internet."""
    address = _parse(text)
    return address.is_global and not address.is_multicast


def is_loopback(text: str) -> bool:
    """Tell whether an IP address, in text, is one that only this machine can call from."""
    return _parse(text).is_loopback


def _parse(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    # A zone after "%" names an interface of this machine, not a part of the address.
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
