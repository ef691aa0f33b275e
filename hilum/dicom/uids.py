# SPDX-License-Identifier: Apache-2.0
"""UIDs below 2.25, which need no registered root (PS3.5 B.2)."""

from uuid import NAMESPACE_OID, uuid4, uuid5


def new_uid() -> str:
    """Return a UID that nothing else has."""
    return f"2.25.{uuid4().int}"


def uid_of(*names: str) -> str:
    """Return the UID that belongs to these names, the same every time."""
    return f"2.25.{uuid5(NAMESPACE_OID, '/'.join(names)).int}"
