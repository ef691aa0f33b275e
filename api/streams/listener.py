# SPDX-License-Identifier: Apache-2.0
"""Who listens: what to listen for, and a box of bounded size where news waits to be sent."""

from collections.abc import Hashable
from dataclasses import dataclass
from threading import Condition
from typing import Final
from uuid import UUID

from db.feed import Happening
from db.outlook import Outlook
from db.tables import JobRow

MOST_NEWS: Final = 1000
"""News that may wait for one client; one that lets more come together reads too slowly."""


@dataclass(frozen=True, slots=True)
class JobNews:
    """How a job stands."""

    job: JobRow
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class JobGone:
    """A job that is there no longer."""

    job_id: UUID


@dataclass(frozen=True, slots=True)
class Begun:
    """The tenant's events after this id follow; those up to it are in the database.

    Attributes:
        position: an id of `db.feed`.
    """

    position: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there is no news.

    Attributes:
        reason: a few words for whoever reads the stream.
    """

    reason: str


News = JobNews | JobGone | Begun | Happening | Trouble


class Listener:
    """One open stream."""

    def __init__(self, tenant_id: UUID, job_id: UUID | None = None) -> None:
        self.tenant_id, self.job_id = tenant_id, job_id
        self.is_begun = False
        self.is_slow = False
        self._closed = False
        self._news: dict[Hashable, News] = {}
        self._changed = Condition()

    def hear(self, news: News) -> None:
        """Put news into the box; how a job stood before goes when it is known how it stands now."""
        with self._changed:
            self._news[_subject(news)] = news
            if len(self._news) > MOST_NEWS:
                self.is_slow = self._closed = True
            self._changed.notify()

    def take(self, timeout_s: float) -> list[News]:
        """Return what is in the box, after waiting for it; nothing where nothing came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._news or self._closed, timeout_s)
            taken, self._news = list(self._news.values()), {}
            return taken

    def close(self) -> None:
        """Say that there will be no more news."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    @property
    def is_closed(self) -> bool:
        """Whether there will be no more news."""
        return self._closed


def _subject(news: News) -> Hashable:
    match news:
        case JobNews():
            return news.job.id
        case Happening():
            return news.id
        case _:
            return type(news).__name__
