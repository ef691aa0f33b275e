# SPDX-License-Identifier: Apache-2.0
"""What keeps the queue from losing anything: taking back, ringing again, sweeping, every few seconds.

It also takes away what hospitals keep no longer, a little at a time.

It asks the database and the broker anew each time and keeps nothing in mind, so it may be killed at
any moment, and two that run at once do no harm.
"""

import os
import socket
import time
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Final

import structlog
from kombu.exceptions import OperationalError
from sqlalchemy.exc import SQLAlchemyError

from db.asked_purges import carry_on, purges_going_on
from db.claims import take_back_overdue
from db.regrades import regrade_more
from db.retention import purge_overdue
from db.scope import EVERYTHING
from db.session import Sessions
from db.turns import count_due
from db.upkeep import note_upkeep
from db.workers import count_live, forget_workers
from db.writings import abandoned, end_writing, put_off
from hilum.errors import TransientError
from hilum.jobs import MOST_RINGS
from hilum.settings import Settings
from hilum.storage import StudyStore
from worker.doorbell import Doorbell
from worker.scribe import Scribe

EVERY_S: Final = 5.0
"""Between two looks."""

REGRADE_S: Final = 2.0
"""Of a look, for reports to be graded anew; the queue comes first."""

PURGE_S: Final = 4.0
"""Of a look, for studies that somebody asked to go."""

FEWEST_RINGS: Final = 8
"""Messages at a look, however few workers there seem to be."""

log = structlog.get_logger(__name__)


def keep_up_until(
    stopping: Event, sessions: Sessions, bell: Doorbell, store: StudyStore, settings: Settings
) -> None:
    """Keep up every few seconds until somebody asks to stop; trouble waits for the next time."""
    scribe = Scribe()
    while not stopping.is_set():
        is_kept_up = [
            _try(partial(take_back, sessions, settings)),
            _try(partial(ring_again, sessions, bell)),
        ]
        if all(is_kept_up):
            _try(partial(tell, sessions))
        _try(partial(purge_old, sessions))
        _try(partial(purge_asked, sessions, store))
        _try(partial(sweep, sessions, store, settings))
        _try(partial(regrade, sessions))
        _try(partial(forget, sessions))
        _try(partial(scribe.tell_head, sessions))
        stopping.wait(EVERY_S)


def _try(step: Callable[[], None]) -> bool:
    try:
        step()
    except (SQLAlchemyError, OperationalError, OSError, TransientError) as error:
        # A driver's message names hosts and users. Redis away must not keep jobs from being taken back.
        log.warning("upkeep.troubled", error=type(error).__name__)
        return False
    return True


def take_back(sessions: Sessions, settings: Settings) -> None:
    """Take jobs from workers that are lost."""
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


def ring_again(sessions: Sessions, bell: Doorbell) -> None:
    """Ring where fewer messages wait than jobs."""
    with sessions.begin() as session:
        # What no worker is there to hear would be taken again and again by one kept for urgent jobs.
        most = min(MOST_RINGS, max(FEWEST_RINGS, 2 * count_live(session)))
        due = count_due(session, most=most)
    # Whatever became of the messages, lost with Redis or with a worker.
    if rung := bell.ring_for(due):
        log.info("queue.rung_again", messages=rung)


def sweep(sessions: Sessions, store: StudyStore, settings: Settings) -> None:
    """Take away the files of writers that died or gave up."""
    with sessions.begin() as session:
        # A writer that lost its job hears of it at its next step, well within a lease.
        prefixes = abandoned(session, grace_s=settings.lease_s)
    for prefix in prefixes:
        try:
            store.delete(prefix)
        except (OSError, TransientError) as error:
            log.warning("files.kept", prefix=prefix, error=type(error).__name__)
            with sessions.begin() as session:
                # The others first, or one that stays would keep all after it.
                put_off(session, prefix)
            continue
        with sessions.begin() as session:
            end_writing(session, prefix)
        log.info("files.swept", prefix=prefix)


def purge_old(sessions: Sessions) -> None:
    """Take away a few studies that their hospitals keep no longer; the sweep takes their files."""
    for step in purge_overdue(sessions):
        log.info("studies.purged", purge_id=str(step.purge_id), studies=step.studies)


def purge_asked(sessions: Sessions, store: StudyStore) -> None:
    """Go on with what somebody asked on a page to be purged, for a while."""
    with sessions.begin() as session:
        purge_ids = [row.id for row in purges_going_on(session, EVERYTHING)]
    over = time.monotonic() + PURGE_S
    for purge_id in purge_ids:
        row = carry_on(sessions, store, purge_id, longest_s=over - time.monotonic())
        log.info("studies.purged", purge_id=str(purge_id), studies=row.studies)


def regrade(sessions: Sessions) -> None:
    """Grade older reports by the present thresholds, where somebody asked for it, for a while."""
    over = time.monotonic() + REGRADE_S
    while time.monotonic() < over:
        # A transaction each: a process that is killed loses one, and nobody waits for a row.
        with sessions.begin() as session:
            count = regrade_more(session)
        if not count:
            return
        log.info("reports.regraded", reports=count)


def tell(sessions: Sessions) -> None:
    """Tell whoever watches that somebody keeps up."""
    with sessions.begin() as session:
        note_upkeep(session, f"{socket.gethostname()}:{os.getpid()}")


def forget(sessions: Sessions) -> None:
    """Forget workers unheard of for a day."""
    with sessions.begin() as session:
        forget_workers(session)
