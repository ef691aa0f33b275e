# SPDX-License-Identifier: Apache-2.0
"""The one thread of a process that asks the database, for all who listen.

It asks rather than waits for a NOTIFY: progress changes as fast as it is asked for, a notification
that is missed while a connection is broken is missed for good, and one more connection for each
process, which no pooler between here and PostgreSQL may share, would buy half a second.
"""

import time
from collections.abc import Callable, Collection, Sequence
from threading import Condition, Event, Thread
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from api.streams.listener import Begun, JobGone, JobNews, Listener, Trouble
from db.feed import Feed, watched_jobs
from db.outlook import Survey, survey
from db.session import Sessions
from db.tables import JobRow
from hilum.errors import TooManyStreams
from hilum.logs import describe_crash

LOOK_EVERY_S: Final = 0.5
"""Between two looks at the database; a client is told of a running job as often."""

SURVEY_EVERY_S: Final = 2.0
"""How long places in the queue and speeds are believed: they change slower than progress."""

log = structlog.get_logger(__name__)


class Hub:
    """Hands what happens to those who listen; asks nothing while nobody does."""

    def __init__(self, sessions: Sessions, *, most: int) -> None:
        self._sessions, self._most = sessions, most
        # One hospital's open tabs must not shut out all others.
        self._share = max(1, most * 3 // 4)
        self._listeners: set[Listener] = set()
        self._changed = Condition()
        self._thread: Thread | None = None
        self._stopping = Event()
        self._is_ending: Callable[[], bool] = lambda: False
        self._feed: Feed | None = None
        self._survey: Survey | None = None
        self._surveyed_at = 0.0
        self._is_troubled = False

    def listen(self, tenant_id: UUID, job_id: UUID | None = None) -> Listener:
        """Return a listener to one job of a tenant, or to all that happens to its jobs.

        Raises:
            TooManyStreams: there are as many as there may be, or this process is about to end.
        """
        listener = Listener(tenant_id, job_id)
        with self._changed:
            own = sum(one.tenant_id == tenant_id for one in self._listeners)
            if len(self._listeners) >= self._most or own >= self._share or self._ends():
                raise TooManyStreams(
                    f"This server has {len(self._listeners)} streams open, {own} of them yours, at"
                    f" most {self._most} and {self._share}; connect again later, or ask for the job"
                    " now and then."
                )
            self._listeners.add(listener)
            if self._thread is None:
                # Not before somebody listens: a thread does not survive the fork of a server.
                self._thread = Thread(target=self._run, name="streams", daemon=True)
                self._thread.start()
            self._changed.notify()
        return listener

    def leave(self, listener: Listener) -> None:
        """Forget a listener."""
        listener.close()
        with self._changed:
            self._listeners.discard(listener)

    def end_when(self, is_ending: Callable[[], bool]) -> None:
        """Let every stream end soon after a question is answered with yes."""
        self._is_ending = is_ending

    def stop(self) -> None:
        """End every stream, and the thread."""
        self._stopping.set()
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def count(self) -> int:
        """Return how many streams are open."""
        return len(self._listeners)

    def _ends(self) -> bool:
        return self._stopping.is_set() or self._is_ending()

    def _run(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            if listeners := self._awaited():
                self._try(listeners)
            self._stopping.wait(LOOK_EVERY_S - (time.monotonic() - begun))
        for listener in self._present():
            listener.close()

    def _awaited(self) -> list[Listener]:
        """Return who listens, once somebody does; nobody where all is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._listeners or self._stopping.is_set())
        listeners = self._present()
        if not self._ends():
            return listeners
        for listener in listeners:
            listener.close()
        return []

    def _present(self) -> list[Listener]:
        with self._changed:
            return list(self._listeners)

    def _try(self, listeners: Sequence[Listener]) -> None:
        try:
            with self._sessions.begin() as session:
                self._look(session, listeners)
        except SQLAlchemyError as error:
            self._tell_trouble(listeners, "The database does not answer.", error)
        except Exception as error:  # noqa: BLE001 - the thread must outlive what it meets
            self._tell_trouble(listeners, "Something went wrong; the log has it.", error)
        else:
            self._is_troubled = False

    def _tell_trouble(
        self, listeners: Sequence[Listener], reason: str, error: BaseException
    ) -> None:
        if self._is_troubled:
            return
        self._is_troubled = True
        log.warning("streams.unheard", **describe_crash(error))
        for listener in listeners:
            listener.hear(Trouble(reason))

    def _look(self, session: Session, listeners: Sequence[Listener]) -> None:
        of_tenant = [one for one in listeners if one.job_id is None]
        self._tell_events(session, of_tenant)
        job_ids = {one.job_id for one in listeners if one.job_id is not None}
        jobs = watched_jobs(session, job_ids, {one.tenant_id for one in of_tenant})
        self._tell_jobs(listeners, jobs, self._current_survey(session, jobs))

    def _tell_events(self, session: Session, listeners: Sequence[Listener]) -> None:
        if not listeners:
            # Who comes later begins with what is new by then.
            self._feed = None
            return
        # Kept at once: who was told where it begins counts on it, whatever happens below.
        feed = self._feed = self._feed or Feed.begin(session)
        for listener in listeners:
            if not listener.is_begun:
                listener.is_begun = True
                listener.hear(Begun(feed.position))
        for happening in feed.read(session):
            for listener in listeners:
                if listener.tenant_id == happening.tenant_id:
                    listener.hear(happening)

    def _current_survey(self, session: Session, jobs: Collection[JobRow]) -> Survey:
        now = time.monotonic()
        known = self._survey
        is_fresh = now < self._surveyed_at + SURVEY_EVERY_S
        if known is None or not is_fresh or not all(known.covers(job) for job in jobs):
            known, self._surveyed_at = survey(session, list(jobs)), now
        self._survey = known
        return known

    @staticmethod
    def _tell_jobs(listeners: Sequence[Listener], jobs: Sequence[JobRow], current: Survey) -> None:
        news = {job.id: JobNews(job, current.outlook(job)) for job in jobs}
        for listener in listeners:
            if listener.job_id is not None:
                listener.hear(news.get(listener.job_id) or JobGone(listener.job_id))
                continue
            for one in news.values():
                # A job that another listener asks for by its id may have ended.
                if one.job.tenant_id == listener.tenant_id and not one.job.is_final:
                    listener.hear(one)
