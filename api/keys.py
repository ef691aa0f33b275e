# SPDX-License-Identifier: Apache-2.0
"""The API keys of the last seconds, so that polling does not ask the database who asks each time."""

import hashlib
import time
from threading import Lock
from typing import Final
from uuid import UUID

from db.session import Sessions
from db.tenants import tenant_of_key
from hilum.errors import WrongKey

REMEMBER_S: Final = 5.0
"""How long a key is believed without asking the database: a revoked one works for so long."""

REMEMBER_KEYS: Final = 1024
"""Keys remembered at most."""


class KnownKeys:
    """The tenants of keys seen in the last seconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tenants: dict[bytes, tuple[UUID, float]] = {}

    def tenant_id(self, key: str, sessions: Sessions) -> UUID:
        """Return the tenant of a key.

        Raises:
            WrongKey: no tenant has this key, or it was revoked.
        """
        digest = hashlib.sha256(key.encode()).digest()
        tenant_id, until = self._tenants.get(digest, (None, 0.0))
        if tenant_id is not None and time.monotonic() < until:
            return tenant_id
        with sessions.begin() as session:
            tenant = tenant_of_key(session, key)
        if tenant is None:
            raise WrongKey
        self._remember(digest, tenant.id)
        return tenant.id

    def _remember(self, digest: bytes, tenant_id: UUID) -> None:
        with self._lock:
            if len(self._tenants) >= REMEMBER_KEYS:
                self._tenants.clear()
            self._tenants[digest] = (tenant_id, time.monotonic() + REMEMBER_S)
