# SPDX-License-Identifier: Apache-2.0
"""What was promised of a job's end when it began to wait, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from db.outlook import Survey, survey
from db.tables import JobRow


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a job was expected to take, waiting included, and how long it took.

    Attributes:
        expected_s: as estimated when it began to wait.
        actual_s: from then to its end.
    """

    expected_s: float
    actual_s: float

    @classmethod
    def of(cls, job: JobRow) -> Self | None:
        """Return the estimate of a job; None where there was none, or it has not ended."""
        if job.expected_s is None or job.finished_at is None:
            return None
        return cls(job.expected_s, (job.finished_at - job.queued_at).total_seconds())

    @property
    def error_s(self) -> float:
        """By how much it was late; negative where it was early."""
        return self.actual_s - self.expected_s

    def rounded(self) -> dict[str, float]:
        """Return estimate, actual time and error for a line of the log."""
        return {
            "expected_s": round(self.expected_s, 1),
            "actual_s": round(self.actual_s, 1),
            "error_s": round(self.error_s, 1),
        }


def keep_estimates(session: Session, jobs: Sequence[JobRow]) -> Survey:
    """Write down how long jobs that begin to wait are expected to take; return what that rests on."""
    look = survey(session, jobs)
    expected = [{"id": job.id, "expected_s": look.outlook(job).eta_s} for job in jobs]
    # Written beside the rows: a flush of them would have computed columns fetched anew, and whoever
    # holds one after the commit can fetch nothing.
    session.execute(update(JobRow), expected)
    for job, row in zip(jobs, expected, strict=True):
        set_committed_value(job, "expected_s", row["expected_s"])
    return look


def estimate_of(session: Session, job_id: UUID) -> Estimate | None:
    """Hold the estimate of an ended job against what it took; None where there was none."""
    return Estimate.of(session.get_one(JobRow, job_id))
