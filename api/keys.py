# SPDX-License-Identifier: Apache-2.0
"""The API keys of the last seconds, so that polling does not ask the database who asks each time."""

import hashlib
import time
from dataclasses import dataclass
from threading import Lock
from typing import Final
from uuid import UUID

from db.session import Sessions
from db.tenants import valid_key
from hilum.errors import WrongKey

REMEMBER_S: Final = 5.0
"""How long a key is believed without asking the database: a revoked one works for so long."""

REMEMBER_KEYS: Final = 1024
"""Keys remembered at most."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a valid key says of its caller.

    Attributes:
        tenant_id: the hospital.
        label: of the key.
        max_requests: of the hospital in a minute; None sets no limit.
    """

    tenant_id: UUID
    label: str
    max_requests: int | None


class KnownKeys:
    """Who calls by the keys seen in the last seconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[bytes, tuple[Known, float]] = {}

    def find(self, key: str, sessions: Sessions) -> Known:
        """Return who calls by a key.

        Raises:
            WrongKey: no tenant has this key, or it was revoked.
        """
        digest = hashlib.sha256(key.encode()).digest()
        known, until = self._known.get(digest, (None, 0.0))
        if known is not None and time.monotonic() < until:
            return known
        with sessions.begin() as session:
            row = valid_key(session, key)
        if row is None:
            raise WrongKey
        known = Known(row.tenant_id, row.label, row.tenant.max_requests)
        self._remember(digest, known)
        return known

    def _remember(self, digest: bytes, known: Known) -> None:
        with self._lock:
            if len(self._known) >= REMEMBER_KEYS:
                self._known.clear()
            self._known[digest] = (known, time.monotonic() + REMEMBER_S)
