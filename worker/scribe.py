# SPDX-License-Identifier: Apache-2.0
"""Writes where the audit log ends to another log, which is kept where the database's owner is not."""

import time
from typing import Final

import structlog

from db.audit import read_head
from db.session import Sessions
from hilum.audit import GENESIS, Head

EVERY_S: Final = 60.0
"""Between two lines; entries of the last minute are the most that could be cut off unseen."""

log = structlog.get_logger(__name__)


class Scribe:
    """Remembers what it wrote last, so that a log that does not grow fills no other."""

    def __init__(self) -> None:
        self._told = Head(0, GENESIS)
        self._at = -EVERY_S

    def tell_head(self, sessions: Sessions) -> None:
        """Write the number and the hash of the last entry, at most once a minute, when it has moved."""
        if time.monotonic() < self._at + EVERY_S:
            return
        with sessions.begin() as session:
            head = read_head(session)
        self._at = time.monotonic()
        if head != self._told:
            log.info("audit.head", entries=head.count, sha256=head.sha256)
            self._told = head
