# SPDX-License-Identifier: Apache-2.0
"""What keeps the queue from losing anything: taking back and ringing again, every few seconds."""

import structlog

from db.claims import take_back_overdue, unheard_jobs
from db.jobs import mark_rung
from db.session import Sessions
from db.tables import JobRow
from hilum.jobs import Priority
from hilum.settings import Settings
from worker.doorbell import Doorbell

UNHEARD_S = 4.0
"""A message is taken within milliseconds, or its queue is long, or it was lost."""

log = structlog.get_logger(__name__)


def keep_up(sessions: Sessions, bell: Doorbell, settings: Settings) -> None:
    """Take back jobs whose worker died, and ring for every job that nobody may have heard of."""
    _take_back(sessions, bell, settings)
    _ring_again(sessions, bell)


def _take_back(sessions: Sessions, bell: Doorbell, settings: Settings) -> None:
    with sessions.begin() as session:
        moved = take_back_overdue(session, max_attempts=settings.max_attempts)
    for job in moved:
        log.warning("job.taken_back", job_id=str(job.id), state=job.state, attempts=job.attempts)
    bell.announce(job.id for job in moved if job.is_final and job.callback_url)


def _ring_again(sessions: Sessions, bell: Doorbell) -> None:
    with sessions.begin() as session:
        unheard = unheard_jobs(session, older_than_s=UNHEARD_S)
    for priority in Priority:
        jobs = [job for job in unheard if job.priority is priority]
        lost = _lost(jobs, bell, priority)
        for job in lost:
            bell.ring(job.id, priority)
            log.info("job.rung_again", job_id=str(job.id))
        with sessions.begin() as session:
            mark_rung(session, [job.id for job in lost])


def _lost(jobs: list[JobRow], bell: Doorbell, priority: Priority) -> list[JobRow]:
    # A job that was rung for may wait behind others in the broker; where the broker's queue is
    # empty its message is gone. A second message does no harm, but thousands would pile up.
    if any(job.rung_at for job in jobs) and bell.waiting(priority):
        return [job for job in jobs if job.rung_at is None]
    return jobs
