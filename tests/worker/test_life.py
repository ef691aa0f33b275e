"""Real workers as others see them: who is here, at what, who is gone, and what they counted."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from celery import Celery
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, select, text
from structlog.testing import capture_logs

from cli.system import free_port
from db.claims import claim_job
from db.drains import drain_worker, release_worker
from db.session import Sessions, make_engine, make_sessions
from db.tables import JobRow, WorkerRow
from db.workers import Seen, known_workers
from hilum import __version__
from hilum.settings import Settings
from hilum.workers import LOST_S, WorkerState
from tests.worker.conftest import QueueStored
from tests.worker.processes import celery_worker, children, until
from worker.bench import Bench
from worker.celery import make_app
from worker.doorbell import Doorbell
from worker.presence import Presence

TOKEN = "prometheus-shows-this"


@pytest.fixture(scope="module")
def running_settings(
    postgres_url: str, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    folder = tmp_path_factory.mktemp("worker")
    return Settings(
        database_url=postgres_url,
        # A part of the broker that no other worker listens to.
        redis_url=valkey_url.removesuffix("0") + "3",
        storage_url=f"file://{folder / 'store'}",
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=folder / "spool",
        network="quick",
        device="cpu",
        min_free_mb=16,
        metrics_token=TOKEN,
        metrics_port=free_port("127.0.0.1", 19808),
    )


@pytest.fixture(scope="module")
def worker(
    running_settings: Settings, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Popen[bytes]]:
    assert engine
    with celery_worker(running_settings, tmp_path_factory.mktemp("log") / "log") as process:
        yield process


@pytest.fixture
def settings(running_settings: Settings, redis_url: str, sessions: Sessions) -> Settings:
    assert redis_url, sessions
    return running_settings


@pytest.fixture
def alone(settings: Settings) -> Settings:
    """Settings of a worker beside the one that every test shares."""
    redis_url = settings.redis_url.removesuffix("3") + "4"
    return settings.model_copy(update={"redis_url": redis_url, "metrics_port": 0})


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    app = make_app(settings)
    yield app
    app.close()


@pytest.fixture
def bell(app: Celery) -> Doorbell:
    return Doorbell(app)


def workers(sessions: Sessions, process: Popen[bytes]) -> list[Seen]:
    """What is known of the children of a worker; another one may be running beside it."""
    with sessions.begin() as session:
        known = known_workers(session)
    return [seen for seen in known if seen.row.name.endswith(f":{process.pid}")]


def states(sessions: Sessions, process: Popen[bytes]) -> list[WorkerState]:
    return [seen.state for seen in workers(sessions, process)]


def running(sessions: Sessions, job: JobRow) -> bool:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id).stage is not None


def ended(sessions: Sessions, job: JobRow) -> bool:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id).is_final


def scrape(settings: Settings) -> dict[str, float]:
    """Return what a worker tells Prometheus, each sample summed over its labels."""
    answer = httpx.get(
        f"http://127.0.0.1:{settings.metrics_port}/metrics",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    found: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(answer.raise_for_status().text):
        for sample in family.samples:
            found[sample.name] += sample.value
    return found


def test_worker_says_who_it_is_as_soon_as_it_is_ready_and_again_where_its_row_was_removed(
    worker: Popen[bytes], sessions: Sessions
) -> None:
    until(lambda: workers(sessions, worker))

    [seen] = workers(sessions, worker)
    row = seen.row
    assert [row.pid] == children(worker.pid)
    assert (row.device, row.gpu, row.version) == ("cpu", None, __version__)
    assert (seen.state, row.job_id) == (WorkerState.IDLE, None)
    assert row.memory_bytes is not None
    assert row.memory_bytes > 50 * 2**20


def test_worker_says_at_once_that_it_is_at_a_job_and_that_it_is_not(
    worker: Popen[bytes], queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    until(lambda: workers(sessions, worker))
    before = workers(sessions, worker)[0].row.jobs_done
    job = queue_stored(network="slow")

    bell.ring()

    until(lambda: running(sessions, job))
    until(lambda: states(sessions, worker) == [WorkerState.BUSY], patience_s=2)
    assert workers(sessions, worker)[0].job_id == job.id
    until(lambda: ended(sessions, job))
    until(lambda: states(sessions, worker) == [WorkerState.IDLE], patience_s=4)
    [seen] = workers(sessions, worker)
    assert (seen.job_id, seen.row.jobs_done) == (None, before + 1)


def test_process_that_follows_a_killed_one_takes_its_place_and_goes_on_counting(
    worker: Popen[bytes],
    queue_stored: QueueStored,
    bell: Doorbell,
    sessions: Sessions,
    settings: Settings,
) -> None:
    def run_one() -> None:
        job = queue_stored(network="quick")
        bell.ring()
        until(lambda: ended(sessions, job))

    until(lambda: workers(sessions, worker))
    [killed] = [seen.row for seen in workers(sessions, worker)]
    run_one()
    until(lambda: scrape(settings).get("hilum_job_outcomes_total", 0))
    before = scrape(settings)["hilum_job_outcomes_total"]

    os.kill(killed.pid, signal.SIGKILL)

    until(lambda: [seen.row.pid for seen in workers(sessions, worker)] not in ([killed.pid], []))
    [follower] = [seen.row for seen in workers(sessions, worker)]
    assert (follower.name, [follower.pid]) == (killed.name, children(worker.pid))
    assert scrape(settings)["hilum_job_outcomes_total"] == before
    run_one()
    until(lambda: scrape(settings)["hilum_job_outcomes_total"] == before + 1, patience_s=5)
    assert scrape(settings)["hilum_job_wait_seconds_count"] == before + 1


def test_drained_worker_finishes_its_job_passes_messages_on_and_goes_on_when_it_is_told(
    worker: Popen[bytes], queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    until(lambda: workers(sessions, worker))
    name = workers(sessions, worker)[0].row.name
    first, second = queue_stored(network="slow"), queue_stored(network="quick")
    bell.ring(2)
    until(lambda: running(sessions, first))

    with sessions.begin() as session:
        drain_worker(session, name, by="user ada")
    until(lambda: ended(sessions, first))

    until(lambda: states(sessions, worker) == [WorkerState.DRAINED], patience_s=4)
    time.sleep(2.5)
    assert not running(sessions, second)
    # Nobody rings again here: the message came back each time.
    with sessions.begin() as session:
        release_worker(session, name)
    until(lambda: ended(sessions, second), patience_s=10)
    until(lambda: states(sessions, worker) == [WorkerState.IDLE], patience_s=8)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("shown", [None, "Bearer wrong", TOKEN])
def test_metrics_of_a_worker_are_for_those_who_show_the_token(
    shown: str | None, settings: Settings
) -> None:
    headers = {"Authorization": shown} if shown else {}

    answer = httpx.get(f"http://127.0.0.1:{settings.metrics_port}/metrics", headers=headers)

    assert answer.status_code == 401
    assert "hilum_job" not in answer.text


def test_worker_that_is_asked_to_stop_says_that_it_drains_and_then_that_it_is_gone(
    queue_stored: QueueStored, sessions: Sessions, alone: Settings, tmp_path: Path
) -> None:
    job = queue_stored(network="endless")
    app = make_app(alone)

    with celery_worker(alone, tmp_path / "log", extra={"SOFT_SHUTDOWN_S": "3"}) as worker:
        Doorbell(app).ring()
        until(lambda: running(sessions, job))
        worker.send_signal(signal.SIGTERM)

        until(lambda: states(sessions, worker) == [WorkerState.DRAINING], patience_s=2.5)
        assert workers(sessions, worker)[0].job_id == job.id
        worker.wait(20)

    app.close()
    assert workers(sessions, worker) == []
    with sessions.begin() as session:
        named = WorkerRow.name.endswith(f":{worker.pid}")
        row = session.scalars(select(WorkerRow).where(named)).one()
    assert (row.job_id, row.stopped_at is None) == (None, False)


def test_worker_that_was_killed_counts_as_lost_once_it_has_missed_three_heartbeats(
    sessions: Sessions, alone: Settings, tmp_path: Path
) -> None:
    with celery_worker(alone, tmp_path / "log") as worker:
        until(lambda: workers(sessions, worker))
        worker.kill()
        worker.wait(20)

    assert states(sessions, worker) == [WorkerState.IDLE]
    with sessions.begin() as session:
        past = {"by": timedelta(seconds=LOST_S)}
        session.execute(text("UPDATE workers SET seen_at = seen_at - :by"), past)
    assert states(sessions, worker) == [WorkerState.LOST]


def test_job_runs_where_the_database_of_heartbeats_is_away(
    bench: Bench, queue_stored: QueueStored, sessions: Sessions
) -> None:
    lost = make_engine("postgresql://127.0.0.1:1/x")
    job = queue_stored()
    with sessions.begin() as session:
        claim = claim_job(session, job.id, worker="w", lease_s=60, max_attempts=3)
    assert claim is not None
    presence = Presence()

    with capture_logs() as lines:
        presence.start(Bench(make_sessions(lost), bench.store, bench.networks, bench.settings))
        with presence.at_work(claim):
            pass
        presence.stop()

    heard = {line["event"] for line in lines}
    lost.dispose()
    assert heard == {"presence.unheard"}
    assert {"appear", "disappear"} <= {line["doing"] for line in lines}
