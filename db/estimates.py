# SPDX-License-Identifier: Apache-2.0
"""What was promised of a job's end when it began to wait, and what came of it."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from db.outlook import look_ahead
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


def keep_estimate(session: Session, job: JobRow) -> None:
    """Write down how long a job that begins to wait is expected to take, where that is known."""
    expected_s = look_ahead(session, job).eta_s
    # Written beside the row: a flush of it would have computed columns fetched anew, and whoever
    # holds it after the commit can fetch nothing.
    session.execute(
        update(JobRow)
        .where(JobRow.id == job.id)
        .values(expected_s=expected_s)
        .execution_options(synchronize_session=False)
    )
    set_committed_value(job, "expected_s", expected_s)


def estimate_of(session: Session, job_id: UUID) -> Estimate | None:
    """Hold the estimate of an ended job against what it took; None where there was none."""
    actual_s = func.extract("epoch", JobRow.finished_at - JobRow.queued_at)
    of_job = select(JobRow.expected_s, actual_s).where(JobRow.id == job_id)
    expected, actual = session.execute(of_job).one()
    return None if expected is None or actual is None else Estimate(expected, float(actual))
