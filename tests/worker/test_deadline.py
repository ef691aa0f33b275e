"""A job that takes too long is told to end, and a process that does not listen is killed."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from subprocess import Popen
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from db.session import Sessions
from hilum import catalogue
from hilum.errors import UnknownPipeline
from hilum.findings import Analysis
from hilum.jobs import Progress, Stage, State, ignore_progress
from hilum.settings import Settings
from tests.worker.conftest import QueueStored
from tests.worker.processes import celery_worker, until
from tests.worker.test_worker import ended, keep_up_until_ended, reload
from tests.worker.turns import run_now
from worker.bench import Bench
from worker.celery import make_app
from worker.deadline import SIGNAL, time_limit_s, within
from worker.doorbell import Doorbell

LONG_S = 30.0


def nothing() -> None:
    """Have nothing to give up."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue whose pipeline has a second."""
    card = replace(catalogue.CT_LESIONS, time_limit_s=1)
    monkeypatch.setattr(catalogue, "PIPELINES", {card.name: card})


@pytest.mark.parametrize(("ours_s", "limit_s"), [(60, 60), (10**6, 2 * 3600)])
def test_shorter_limit_of_pipeline_and_installation_counts(
    ours_s: int, limit_s: int, settings: Settings
) -> None:
    mine = settings.model_copy(update={"task_time_limit_s": ours_s})

    assert time_limit_s("ct-lesions", mine) == limit_s


def test_pipeline_of_a_newer_version_is_unknown_here(settings: Settings) -> None:
    with pytest.raises(UnknownPipeline):
        time_limit_s("ct-hearts", settings)


def test_one_long_step_is_broken_off_at_the_limit() -> None:
    begun = time.monotonic()

    with pytest.raises(SoftTimeLimitExceeded), within(0.2, ignore_progress, nothing):
        time.sleep(LONG_S)

    assert 0.2 <= time.monotonic() - begun < LONG_S / 2


def test_limit_that_somebody_swallowed_is_told_again_at_the_next_step() -> None:
    def deaf(progress: Progress) -> None:
        with suppress(Exception):
            time.sleep(LONG_S)
        progress(Stage.SLICES, 1, 2)
        pytest.fail("The job went on.")

    with pytest.raises(SoftTimeLimitExceeded), within(0.2, ignore_progress, nothing) as progress:
        deaf(progress)


def test_report_to_the_database_is_not_broken_off() -> None:
    reported: list[int] = []

    def report(_stage: Stage, done: int, _total: int) -> None:
        time.sleep(0.5)
        reported.append(done)

    with pytest.raises(SoftTimeLimitExceeded), within(0.2, report, nothing) as progress:
        progress(Stage.SLICES, 1, 2)

    assert reported == [1]


def test_job_in_a_thread_is_told_at_its_next_step() -> None:
    told: list[type[Exception]] = []

    def job() -> None:
        try:
            with within(0.2, ignore_progress, nothing) as progress:
                time.sleep(0.4)
                progress(Stage.SLICES, 1, 2)
        except SoftTimeLimitExceeded as error:
            told.append(type(error))

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()

    assert told == [SoftTimeLimitExceeded]


def test_job_that_ends_in_time_hears_nothing_and_leaves_no_trace() -> None:
    heard: list[int] = []
    before = signal.signal(SIGNAL, lambda number, _: heard.append(number))

    with within(0.2, ignore_progress, nothing) as progress:
        progress(Stage.SLICES, 1, 2)
    time.sleep(0.4)
    signal.raise_signal(SIGNAL)
    signal.signal(SIGNAL, before)

    assert heard == [SIGNAL]
    assert "deadline" not in {thread.name for thread in threading.enumerate()}


def test_other_errors_of_a_job_pass_through() -> None:
    with pytest.raises(ValueError, match="voxels"), within(LONG_S, ignore_progress, nothing):
        raise ValueError("no voxels")


@pytest.mark.usefixtures("hasty")
def test_job_over_the_limit_of_its_pipeline_fails_by_name(
    bench: Bench, queue_stored: QueueStored
) -> None:
    def sleep(*_: Any, progress: Progress) -> Analysis:
        progress(Stage.SLICES, 0, 1)
        time.sleep(LONG_S)
        raise AssertionError

    job = queue_stored()

    run_now(job.id, replace(bench, analyse=sleep))

    failed = reload(bench.sessions, job)
    assert (failed.state, failed.error_code) == (State.FAILED, "time_limit")
    assert failed.error_message == "The job ran longer than 1 s and was stopped."


# ── A worker of its own, whose pipeline has four seconds and a second of grace ────────────────


@pytest.fixture(scope="module")
def short_settings(
    postgres_url: str, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """Settings that alone would let a job run for an hour, with a part of the broker of their own."""
    folder = tmp_path_factory.mktemp("deadline")
    return Settings(
        database_url=postgres_url,
        redis_url=valkey_url.removesuffix("0") + "2",
        storage_url=f"file://{folder / 'store'}",
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=folder / "spool",
        network="quick",
        device="cpu",
        threads=1,
        min_free_mb=16,
        lease_s=2,
        max_attempts=1,
    )


@pytest.fixture(scope="module")
def worker(
    short_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Popen[bytes]]:
    limits = {"PIPELINE_LIMIT_S": "4", "GRACE_S": "1"}
    log = tmp_path_factory.mktemp("log") / "worker.log"
    with celery_worker(short_settings, log, extra=limits) as process:
        yield process


@pytest.fixture
def settings(short_settings: Settings, redis_url: str, sessions: Sessions) -> Settings:
    assert redis_url, sessions
    return short_settings


@pytest.fixture
def bell(settings: Settings, worker: Popen[bytes]) -> Iterator[Doorbell]:
    """The doorbell of a running worker."""
    assert worker.poll() is None
    app = make_app(settings)
    yield Doorbell(app)
    app.close()


def test_worker_tells_a_job_to_end_at_the_limit_of_its_pipeline_and_goes_on(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    job, after = queue_stored(network="endless"), queue_stored(network="hopeless")

    bell.ring(2)

    until(lambda: ended(sessions, job, after))
    assert reload(sessions, job).error_code == "time_limit"
    # It is the least that a job can do: under load even a quick one may take seconds.
    assert reload(sessions, after).error_code == "not_axial"


def test_worker_that_does_not_listen_is_killed_and_its_job_ends_by_name(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions, settings: Settings
) -> None:
    job = queue_stored(network="stubborn")
    bell.ring()

    keep_up_until_ended(sessions, bell, settings, job)
    after = queue_stored(network="hopeless")
    bell.ring()

    killed = reload(sessions, job)
    assert (killed.state, killed.error_code) == (State.FAILED, "time_limit")
    until(lambda: ended(sessions, after))
    assert reload(sessions, after).error_code == "not_axial"
