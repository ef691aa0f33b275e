# SPDX-License-Identifier: Apache-2.0
"""What a worker counts and times of its jobs; docs/monitoring.md has the table.

A further number is two lines: its name here, and `.observe()` where it is known. It must have a
label: one without is made when this file is read, which is before its place is (`share`).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
from billiard.process import current_process
from prometheus_client import CollectorRegistry, Counter, Histogram, values
from prometheus_client.values import MultiProcessValue
from sqlalchemy.exc import SQLAlchemyError

from db.claims import Claim
from db.estimates import Estimate
from db.session import Sessions
from db.tables import JobRow
from hilum.jobs import Stage, State

COUNTED: Final = CollectorRegistry()
"""Everything below."""

WAIT_S: Final = Histogram(
    "hilum_job_wait_seconds",
    "From the moment a job could have been taken to the one in which a worker took it.",
    ["priority"],
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600),
    registry=COUNTED,
)
ATTEMPTS: Final = Counter(
    "hilum_attempts", "Jobs taken, for the first time or again.", ["retry"], registry=COUNTED
)
STAGE_S: Final = Histogram(
    "hilum_stage_seconds",
    "How long a stage took of the jobs that succeeded.",
    ["stage", "network"],
    buckets=(0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1800),
    registry=COUNTED,
)
SLICES_PER_S: Final = Histogram(
    "hilum_slices_per_second",
    "How fast the slices of a job that succeeded were segmented.",
    ["network"],
    buckets=(0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100),
    registry=COUNTED,
)
ESTIMATES: Final = Histogram(
    "hilum_estimate_ratio",
    "How long a job that succeeded took, over what it was expected to take; 1 is right.",
    ["network"],
    buckets=(0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2, 4),
    registry=COUNTED,
)
OUTCOMES: Final = Counter(
    "hilum_job_outcomes",
    "Attempts by how they ended: `succeeded`, `cancelled`, `given_back`, `overtaken`, or the code"
    " of the error.",
    ["outcome"],
    registry=COUNTED,
)

log = structlog.get_logger(__name__)


def share(folder: Path) -> None:
    """Keep every number in files of a folder, where another process can read it.

    Called before the fork. The files are named by the child's place among its siblings, not by its
    process id: a child that is started anew goes on counting where the last one stopped.
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = MultiProcessValue(_place)  # type: ignore[no-untyped-call]  # it has no types


def _place() -> str:
    return f"child{getattr(current_process(), 'index', '')}"


@contextmanager
def measured(claim: Claim, sessions: Sessions) -> Iterator[None]:
    """Count and time the attempt that runs in a `with` block; its row says how it ended."""
    ATTEMPTS.labels("yes" if claim.attempt > 1 else "no").inc()
    WAIT_S.labels(claim.priority).observe(claim.waited_s)
    try:
        yield
    finally:
        if (job := _row(claim, sessions)) is not None:
            _count_end(job, claim)


def _row(claim: Claim, sessions: Sessions) -> JobRow | None:
    try:
        with sessions.begin() as session:
            return session.get(JobRow, claim.job_id)
    except SQLAlchemyError as error:
        # A number less is no reason to lose a job.
        log.warning("metrics.unread", error=type(error).__name__)
        return None


def _count_end(job: JobRow, claim: Claim) -> None:
    OUTCOMES.labels(outcome_of(job, claim)).inc()
    if job.state is not State.SUCCEEDED:
        return
    for stage, seconds in job.timings_s.items():
        STAGE_S.labels(stage, job.network).observe(seconds)
    if (slices_s := job.timings_s.get(Stage.SLICES, 0.0)) > 0:
        SLICES_PER_S.labels(job.network).observe(job.slice_count / slices_s)
    if (estimate := Estimate.of(job)) is not None and estimate.expected_s > 0:
        ESTIMATES.labels(job.network).observe(estimate.actual_s / estimate.expected_s)


def outcome_of(job: JobRow, claim: Claim) -> str:
    """Return how an attempt ended, in one word, from the row it left behind."""
    if job.state is State.QUEUED:
        return "given_back"
    if job.state is State.RUNNING or job.attempts != claim.attempt:
        return "overtaken"
    return job.error_code or str(job.state)
