# SPDX-License-Identifier: Apache-2.0
"""A worker's hold on a job while it computes: progress is written, and the lease kept alive."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.claims import Claim, keep_hold, report_progress
from db.session import Sessions
from hilum.jobs import JobStopped, Progress, Stage

REPORT_EVERY_S = 0.25
"""Progress is looked at by people; the first and last step of a stage are always written."""

BEATS_PER_LEASE = 4
"""Two heartbeats may be late or lost before a job is."""

log = structlog.get_logger(__name__)


@contextmanager
def holding(claim: Claim, sessions: Sessions, *, lease_s: int) -> Iterator[Progress]:
    """Keep hold of a job for the length of a `with` block, and yield where its steps report to.

    The reports raise `JobStopped` when the job must not go on.
    """
    over = Event()
    heart = Thread(target=_beat, args=(claim, sessions, lease_s, over), name="lease", daemon=True)
    heart.start()
    try:
        yield Reporter(claim, sessions, lease_s)
    finally:
        over.set()
        heart.join()


def _beat(claim: Claim, sessions: Sessions, lease_s: int, over: Event) -> None:
    # A stage without steps, or one long step, must not look like a dead worker.
    while not over.wait(lease_s / BEATS_PER_LEASE):
        try:
            with sessions.begin() as session:
                keep_hold(session, claim, lease_s=lease_s)
        except SQLAlchemyError as error:
            log.warning("lease.unheard", error=type(error).__name__)


class Reporter:
    """Writes the progress of a job, a few times a second at most."""

    def __init__(self, claim: Claim, sessions: Sessions, lease_s: int) -> None:
        self._claim, self._sessions, self._lease_s = claim, sessions, lease_s
        self._stage: Stage | None = None
        self._reported_at = 0.0
        self._unheard_since: float | None = None

    def __call__(self, stage: Stage, done: int, total: int) -> None:
        """Say how far the job is.

        Raises:
            JobStopped: the job must not go on.
        """
        is_edge = stage is not self._stage or done >= total
        if not is_edge and time.monotonic() < self._reported_at + REPORT_EVERY_S:
            return
        self._stage, self._reported_at = stage, time.monotonic()
        try:
            with self._sessions.begin() as session:
                report_progress(session, self._claim, stage, done, total, lease_s=self._lease_s)
        except SQLAlchemyError as error:
            # A database that restarts is no reason to throw away what is computed; one that is away
            # for a lease is: the job is another's by then, and its files would be nobody's.
            log.warning("progress.unheard", error=type(error).__name__)
            self._unheard_since = self._unheard_since or self._reported_at
            if time.monotonic() > self._unheard_since + self._lease_s:
                raise JobStopped("The database was not heard of for a lease.") from error
        else:
            self._unheard_since = None
