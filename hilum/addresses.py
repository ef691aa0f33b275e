# SPDX-License-Identifier: Apache-2.0
"""Which network addresses a client may have Hilum call."""

import ipaddress


def is_public(text: str) -> bool:
    """Tell whether an IP address, in text, is one of the public internet."""
    # A zone after "%" names an interface of this machine, not a part of the address.
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast
