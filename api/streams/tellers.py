# SPDX-License-Identifier: Apache-2.0
"""News in words: of one job, and of all jobs of a tenant."""

from collections.abc import Hashable, Iterator
from typing import Any, Final
from uuid import UUID

from api.jobs import shown_job
from api.schemas.jobs import JobJSON
from api.schemas.streams import HappeningJSON, ProgressJSON
from api.streams import sse
from api.streams.listener import Begun, JobGone, JobNews, News
from db.feed import AT_ONCE, Happening, happenings_between
from db.outlook import Outlook
from db.session import Sessions
from db.tables import JobRow
from hilum.jobs import State

JOB: Final = "job"
"""Name of the event that carries a job."""

PROGRESS: Final = "progress"
"""Name of the event that says how far a running job is."""


class OfJob:
    """Tells how one job stands, until it has ended.

    Attributes:
        is_done: the job has ended, and that was told.
    """

    def __init__(self) -> None:
        self.is_done = False
        self._told: Hashable = None

    def tell(self, news: News) -> Iterator[str]:
        """Yield the job where it has changed, or runs."""
        if isinstance(news, JobGone):
            self.is_done = True
        if isinstance(news, JobNews):
            yield from self._tell(news.job, news.outlook)

    def _tell(self, job: JobRow, outlook: Outlook) -> Iterator[str]:
        seen = _looks(job, outlook)
        if job.state is not State.RUNNING and seen == self._told:
            return
        self._told, self.is_done = seen, job.is_final
        # The last word has an id: a browser that comes again with it has heard it.
        document = JobJSON().dump(shown_job(job, outlook))
        yield sse.event(JOB, document, id=job.state if job.is_final else None)


class OfTenant:
    """Tells what happens to the jobs of a tenant.

    Attributes:
        is_done: never; a tenant may always send one more study.
    """

    def __init__(self, tenant_id: UUID, sessions: Sessions, *, after: int) -> None:
        self.is_done = False
        self._tenant_id, self._sessions, self._after = tenant_id, sessions, after

    def tell(self, news: News) -> Iterator[str]:
        """Yield an event of a job, and those that were missed before the first; or progress."""
        match news:
            case Begun():
                yield from self._missed(news.position)
                # A stream on which nothing happens must go on from here as well.
                yield sse.position(str(max(self._after, news.position)))
            case Happening() if news.id > self._after:
                yield self._event(news)
            case JobNews():
                yield sse.event(PROGRESS, ProgressJSON().dump(_progress(news)))

    def _missed(self, position: int) -> Iterator[str]:
        while self._after < position:
            with self._sessions.begin() as session:
                found = happenings_between(session, self._tenant_id, self._after, position)
            for happening in found:
                self._after = happening.id
                yield self._event(happening)
            if len(found) < AT_ONCE:
                return

    @staticmethod
    def _event(happening: Happening) -> str:
        document = HappeningJSON().dump(happening)
        return sse.event(happening.event, document, id=str(happening.id))


def _looks(job: JobRow, outlook: Outlook) -> Hashable:
    eta_s = None if outlook.eta_s is None else round(outlook.eta_s)
    how_far = (job.stage, job.stage_done, job.stage_total, job.fraction)
    return (job.state, *how_far, job.attempts, job.cancel_requested, outlook.place, eta_s)


def _progress(news: JobNews) -> dict[str, Any]:
    document = shown_job(news.job, news.outlook)
    return document | {"job_id": news.job.id}
