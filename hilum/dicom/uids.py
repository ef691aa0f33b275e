# SPDX-License-Identifier: Apache-2.0
"""UIDs: new ones below 2.25, which need no registered root (PS3.5 B.2), and UIDs as names of files."""

import hashlib
import re
from typing import Final
from uuid import NAMESPACE_OID, uuid4, uuid5

SAFE_NAME: Final = re.compile(r"[0-9][0-9.]{0,63}(\.[0-9a-f]{12})?")
"""A UID that may name a file: two dots alone would lead to another folder."""


def new_uid() -> str:
    """Return a UID that nothing else has."""
    return f"2.25.{uuid4().int}"


def uid_of(*names: str) -> str:
    """Return the UID that belongs to these names, the same every time."""
    return f"2.25.{uuid5(NAMESPACE_OID, '/'.join(names)).int}"


def as_name(uid: str) -> str:
    """Return a UID as part of a path or key; one that could lead elsewhere becomes its hash."""
    if SAFE_NAME.fullmatch(uid):
        return uid
    return f"odd-{hashlib.sha256(uid.encode()).hexdigest()[:32]}"
