"""The promise of a job's end, held against jobs whose speed is known."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from db.estimates import keep_estimates
from hilum.findings import Analysis
from hilum.jobs import Progress
from hilum.study import Study
from tests.db.factories import have_worker
from tests.phantoms import chest
from tests.worker.conftest import QueueStored
from tests.worker.pipelines import quick
from tests.worker.turns import run_now
from worker.bench import Bench

SLICE_S = 0.1
"""Long beside what a busy machine adds."""


def measured(study: Study, *args: Any, progress: Progress) -> Analysis:
    """Take the same time for every slice."""
    time.sleep(SLICE_S * sum(len(series.instances) for series in study.series))
    return quick(study, *args, progress=progress)


@pytest.fixture
def steady(bench: Bench) -> Bench:
    return replace(bench, analyse=measured)


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs() as captured:
        yield captured


def test_error_of_an_estimate_is_logged_and_small_where_speed_is_known(
    steady: Bench, queue_stored: QueueStored, lines: list[EventDict]
) -> None:
    datasets = chest().datasets()
    with steady.sessions.begin() as session:
        have_worker(session)
    run_now(queue_stored(datasets[:20], slice_count=20).id, steady)
    waiting = [queue_stored(datasets[:count], slice_count=count) for count in (20, 10)]
    for job in waiting:
        with steady.sessions.begin() as session:
            keep_estimates(session, [job])

    for job in waiting:
        run_now(job.id, steady)

    estimates = [line for line in lines if line["event"] == "job.estimated"]
    assert len(estimates) == 2
    for line in estimates:
        assert line["error_s"] == pytest.approx(line["actual_s"] - line["expected_s"], abs=0.11)
        assert abs(line["error_s"]) < 0.5 * line["actual_s"]
    # The second waited for the first, and was told so.
    assert estimates[1]["expected_s"] > 1.2 * 30 * SLICE_S - 1


def test_first_job_of_all_has_no_estimate_to_be_wrong(
    steady: Bench, queue_stored: QueueStored, lines: list[EventDict]
) -> None:
    job = queue_stored(chest().datasets()[:5])
    with steady.sessions.begin() as session:
        keep_estimates(session, [job])

    run_now(job.id, steady)

    assert [line["event"] for line in lines if line["event"].startswith("job.")] == [
        "job.taken",
        "job.succeeded",
    ]
