# SPDX-License-Identifier: Apache-2.0
"""The queue as it stands, for whoever operates some hospitals: what is shown anew every few seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from sqlalchemy.orm import Session

from db.lines import Line, running_jobs, until_empty_s, waiting_lines
from db.pauses import list_pauses
from db.scope import Scope
from db.tables import JobRow, PauseRow
from db.throughput import Throughput, throughput, total
from db.troubles import count_troubled
from db.workers import Seen, known_workers
from hilum.jobs import State
from hilum.workers import WorkerState

SIGNS: Final[Mapping[WorkerState, str]] = {
    WorkerState.IDLE: "○",
    WorkerState.BUSY: "▶",
    WorkerState.DRAINING: "◐",
    WorkerState.DRAINED: "■",
    WorkerState.LOST: "!",
}
"""Beside the word, so that no state is told by its colour alone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What waits, what runs, and who runs it.

    Attributes:
        pauses: everybody's first.
        lines: what waits, by urgency and hospital.
        running: jobs with their studies.
        workers: all of them; of their jobs those that may be told.
        done: by the name of the worker, for these hospitals alone.
        troubled: how many failed or are in quarantine.
    """

    pauses: Sequence[PauseRow]
    lines: Sequence[Line]
    running: Sequence[JobRow]
    workers: Sequence[Seen]
    done: Mapping[str, Throughput]
    troubled: Mapping[State, int]

    @classmethod
    def of(cls, session: Session, scope: Scope) -> Self:
        """Return how the queue stands; each part is a few statements, whatever its length."""
        return cls(
            pauses=list_pauses(session, scope),
            lines=waiting_lines(session, scope),
            running=running_jobs(session, scope),
            workers=known_workers(session, scope),
            done=throughput(session, scope),
            troubled=count_troubled(session, scope),
        )

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(line.jobs for line in self.lines)

    @property
    def longest(self) -> int:
        """How many jobs the longest line has: what the others are drawn against."""
        return max((line.jobs for line in self.lines), default=0)

    @property
    def oldest_s(self) -> float:
        """Since when the first of them has waited; 0 where none waits."""
        return max((line.oldest_s for line in self.lines), default=0.0)

    @property
    def empty_s(self) -> float | None:
        """Until nothing waits but what is paused; None where nobody knows."""
        return until_empty_s(self.lines)

    @property
    def total(self) -> Throughput:
        """What all workers did together."""
        return total(self.done.values())

    def done_by(self, name: str) -> Throughput:
        """Return what one worker did."""
        return self.done.get(name, Throughput())

    def worker_of(self, job_id: UUID) -> str:
        """Return the name of the worker that runs a job; empty where none says so."""
        return next((seen.row.name for seen in self.workers if seen.job_id == job_id), "")
