# SPDX-License-Identifier: Apache-2.0
"""What keeps the queue from losing anything: taking back and ringing again, every few seconds.

It asks the database and the broker anew each time and keeps nothing in mind, so it may be killed at
any moment, and two that run at once do no harm.
"""

from threading import Event
from typing import Final

import structlog
from kombu.exceptions import OperationalError
from sqlalchemy.exc import SQLAlchemyError

from db.claims import take_back_overdue
from db.session import Sessions
from db.turns import count_due
from hilum.settings import Settings
from worker.doorbell import Doorbell

EVERY_S: Final = 5.0
"""Between two looks."""

MOST_RINGS: Final = 1000
"""At a look: more than all workers could answer until the next one."""

log = structlog.get_logger(__name__)


def keep_up_until(
    stopping: Event,
    sessions: Sessions,
    bell: Doorbell,
    settings: Settings,
    *,
    every_s: float = EVERY_S,
) -> None:
    """Keep up every few seconds until somebody asks to stop; trouble waits for the next time."""
    while not stopping.is_set():
        try:
            keep_up(sessions, bell, settings)
        except (SQLAlchemyError, OperationalError, OSError) as error:
            # A driver's message names hosts and users.
            log.warning("upkeep.troubled", error=type(error).__name__)
        stopping.wait(every_s)


def keep_up(sessions: Sessions, bell: Doorbell, settings: Settings) -> None:
    """Take back jobs whose worker died, and ring where fewer messages wait than jobs."""
    _take_back(sessions, settings)
    _ring_again(sessions, bell)


def _take_back(sessions: Sessions, settings: Settings) -> None:
    with sessions.begin() as session:
        moved = take_back_overdue(session, max_attempts=settings.max_attempts)
    for job in moved:
        log.warning(
            "job.taken_back",
            job_id=str(job.id),
            tenant_id=str(job.tenant_id),
            request_id=job.request_id,
            state=job.state,
            attempts=job.attempts,
        )


def _ring_again(sessions: Sessions, bell: Doorbell) -> None:
    with sessions.begin() as session:
        due = count_due(session, most=MOST_RINGS)
    # Whatever became of the messages, lost with Redis or with a worker: each job has one again.
    missing = due - bell.unanswered() if due else 0
    if missing > 0:
        bell.ring(missing)
        log.info("queue.rung_again", jobs=missing)
