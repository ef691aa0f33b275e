"""What a worker counts and times of its jobs, read as Prometheus reads it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from db.claims import Claim, give_back
from db.session import Sessions, make_engine, make_sessions
from hilum.errors import NotAxial, StorageFull
from hilum.jobs import JobStopped
from tests.db.factories import claim
from tests.worker.conftest import QueueStored
from tests.worker.test_run import failing, let_lease_run_out
from tests.worker.turns import run_now
from worker.bench import Bench
from worker.blackbox import BlackBox
from worker.life import followed
from worker.metrics import COUNTED, measured
from worker.presence import Presence

Delta = Callable[..., float]


def samples() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(generate_latest(COUNTED).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture
def since() -> Delta:
    """By how much a sample grew since the test began."""
    before = samples()

    def delta(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return samples().get(key, 0.0) - before.get(key, 0.0)

    return delta


@pytest.fixture
def bench(bench: Bench, tmp_path: Path) -> Bench:
    """The bench of a worker, whose jobs are counted."""
    return followed(bench, Presence(), BlackBox(tmp_path / "spool"))


def test_job_that_succeeds_is_timed_by_stage_and_counted(
    bench: Bench, queue_stored: QueueStored, since: Delta
) -> None:
    job = queue_stored(network="quick")

    run_now(job.id, bench)

    assert since("hilum_job_outcomes_total", outcome="succeeded") == 1
    assert since("hilum_attempts_total", retry="no") == 1
    assert since("hilum_job_wait_seconds_count", priority="routine") == 1
    for stage in ("reading", "slices", "writing"):
        assert since("hilum_stage_seconds_count", stage=stage, network="quick") == 1
    assert since("hilum_stage_seconds_sum", stage="slices", network="quick") == pytest.approx(3)
    speed = job.slice_count / 3.0
    assert since("hilum_slices_per_second_sum", network="quick") == pytest.approx(speed)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotAxial("It is coronal."), "not_axial"),
        (ValueError("no"), "internal_error"),
        (StorageFull("The disk is full."), "given_back"),
    ],
)
def test_attempt_that_fails_is_counted_by_its_code(
    error: Exception, outcome: str, bench: Bench, queue_stored: QueueStored, since: Delta
) -> None:
    job = queue_stored(network="failing")

    run_now(job.id, replace(bench, analyse=failing(error)))

    assert since("hilum_job_outcomes_total", outcome=outcome) == 1
    assert since("hilum_stage_seconds_count", stage="slices", network="failing") == 0


def test_second_attempt_counts_as_a_retry_that_waited_since_it_was_due(
    bench: Bench, queue_stored: QueueStored, sessions: Sessions, since: Delta
) -> None:
    job = queue_stored(network="again")
    with sessions.begin() as session:
        give_back(session, claim(session, job), "The disk is full.", max_attempts=3)

    run_now(job.id, bench)

    assert since("hilum_attempts_total", retry="yes") == 1
    assert since("hilum_job_wait_seconds_sum", priority="routine") < 5


def test_attempt_whose_job_another_worker_took_counts_as_overtaken(
    bench: Bench, queue_stored: QueueStored, sessions: Sessions, since: Delta
) -> None:
    job = queue_stored(network="late")

    def overtaken(*_: object, **__: object) -> None:
        let_lease_run_out(sessions)
        with sessions.begin() as session:
            claim(session, job, worker="another")
        raise JobStopped("Another has it.")

    run_now(job.id, replace(bench, analyse=overtaken))

    assert since("hilum_job_outcomes_total", outcome="overtaken") == 1


def test_job_runs_where_nobody_can_count_it(
    queue_stored: QueueStored, sessions: Sessions, since: Delta
) -> None:
    lost = make_engine("postgresql://127.0.0.1:1/x")
    with sessions.begin() as session:
        taken: Claim = claim(session, queue_stored())
    ran = []

    with measured(taken, make_sessions(lost)):
        ran.append("job")

    lost.dispose()
    assert ran == ["job"]
    assert since("hilum_attempts_total", retry="no") == 1
    assert since("hilum_job_outcomes_total", outcome="succeeded") == 0


def test_every_number_has_a_label_because_one_without_is_made_before_its_place() -> None:
    families = list(COUNTED._collector_to_names)

    assert families
    assert [family for family in families if not family._labelnames] == []  # type: ignore[attr-defined]  # it is the library's own
