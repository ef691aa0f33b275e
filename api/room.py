# SPDX-License-Identifier: Apache-2.0
"""Whether a hospital has room, at the doors where instances come one by one.

Of what study an instance is, and so whether that is kept already, is known there too late: an
instance that is taken is safe. So the door closes to all of them, and what came before stays.
"""

import time
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.admission import check_bytes, check_jobs, check_queue
from db.session import Sessions
from hilum.errors import QueueOverloaded, QuotaExceeded
from hilum.jobs import Priority
from hilum.logs import describe_crash

REMEMBER_S: Final = 1.0
"""How long an answer is believed: a scanner sends hundreds of instances in a second, and to sum up
the bytes of a hundred thousand studies takes the database 20 ms."""

log = structlog.get_logger(__name__)


class Room:
    """Whether there is room, remembered for a moment."""

    def __init__(self, sessions: Sessions, *, max_queue_age_s: float) -> None:
        self._sessions = sessions
        self._max_queue_age_s = max_queue_age_s
        self._known: dict[tuple[UUID, Priority], tuple[Exception | None, float]] = {}

    def check(self, tenant_id: UUID, priority: Priority, size: int) -> None:
        """Make sure that a hospital has room for bytes of a study, and for the job of it.

        Raises:
            QuotaExceeded, QueueOverloaded: it has none.
        """
        trouble, until = self._known.get((tenant_id, priority), (None, 0.0))
        if time.monotonic() >= until:
            trouble = self._look(tenant_id, priority, size)
            self._known[tenant_id, priority] = trouble, time.monotonic() + REMEMBER_S
        if trouble is not None:
            # An error of its own for each: one that is raised again grows by its traces.
            raise type(trouble)(*trouble.args)

    def _look(self, tenant_id: UUID, priority: Priority, size: int) -> Exception | None:
        try:
            with self._sessions.begin() as session:
                check_queue(session, priority, max_age_s=self._max_queue_age_s)
                check_jobs(session, tenant_id)
                check_bytes(session, tenant_id, more=size)
        except (QuotaExceeded, QueueOverloaded) as error:
            return error
        except SQLAlchemyError as error:
            # Instances wait on disk, so a scanner need not wait for the database.
            log.warning("room.unknown", **describe_crash(error))
        return None
