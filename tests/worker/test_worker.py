"""A real Celery worker on a real broker: what it does with jobs, and what kills it."""

import os
import signal
import time
from collections.abc import Iterator
from subprocess import Popen

import pytest
from celery import Celery
from sqlalchemy import select

from db.changes import cancel_job
from db.session import Sessions
from db.tables import ArtifactRow, JobRow, NoticeRow, ReportRow, TenantRow
from hilum.jobs import Priority, State
from hilum.settings import Settings
from tests.worker.conftest import QueueStored
from tests.worker.processes import celery_worker, children, until
from worker.artifacts import KINDS
from worker.celery import make_app
from worker.doorbell import Doorbell
from worker.upkeep import ring_again, take_back

LEASE_S = 10


@pytest.fixture(scope="module")
def running_settings(
    postgres_url: str, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    folder = tmp_path_factory.mktemp("worker")
    return Settings(
        database_url=postgres_url,
        redis_url=valkey_url,
        storage_url=f"file://{folder / 'store'}",
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=folder / "spool",
        network="quick",
        device="cpu",
        min_free_mb=16,
        lease_s=LEASE_S,
    )


@pytest.fixture(scope="module")
def worker(
    running_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Popen[bytes]]:
    with celery_worker(running_settings, tmp_path_factory.mktemp("log") / "worker.log") as process:
        yield process


@pytest.fixture
def settings(running_settings: Settings, redis_url: str, sessions: Sessions) -> Settings:
    assert redis_url, sessions
    return running_settings


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    app = make_app(settings)
    yield app
    app.close()


@pytest.fixture
def bell(app: Celery) -> Doorbell:
    return Doorbell(app)


def reload(sessions: Sessions, job: JobRow) -> JobRow:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id)


def ended(sessions: Sessions, *jobs: JobRow) -> bool:
    return all(reload(sessions, job).is_final for job in jobs)


def running(sessions: Sessions, job: JobRow) -> bool:
    return reload(sessions, job).stage is not None


def keep_up_until_ended(
    sessions: Sessions, bell: Doorbell, settings: Settings, job: JobRow
) -> None:
    def is_over() -> bool:
        take_back(sessions, settings)
        ring_again(sessions, bell)
        return ended(sessions, job)

    until(is_over)


@pytest.mark.usefixtures("worker")
def test_job_that_is_rung_for_succeeds(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    job = queue_stored(network="quick")

    bell.ring()

    until(lambda: ended(sessions, job))
    assert reload(sessions, job).state is State.SUCCEEDED
    with sessions.begin() as session:
        assert len(session.scalars(select(ArtifactRow)).all()) == len(KINDS)


@pytest.mark.usefixtures("worker")
def test_messages_delivered_twice_run_each_job_once(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    job, last = queue_stored(network="quick"), queue_stored(network="quick")

    bell.ring(4)

    until(lambda: ended(sessions, job, last))
    assert reload(sessions, job).attempts == 1
    with sessions.begin() as session:
        assert len(session.scalars(select(ReportRow)).all()) == 2


@pytest.mark.usefixtures("worker")
def test_urgent_jobs_are_served_first_whenever_they_were_sent(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    before = queue_stored(network="slow")
    bell.ring()
    until(lambda: running(sessions, before))
    jobs = [
        queue_stored(network="quick", priority=priority)
        for priority in (Priority.BULK, Priority.ROUTINE, Priority.STAT)
    ]

    bell.ring(3)

    until(lambda: ended(sessions, *jobs))
    with sessions.begin() as session:
        served = session.scalars(select(JobRow.priority).order_by(JobRow.started_at)).all()
    assert served == ["routine", "stat", "routine", "bulk"]


@pytest.mark.usefixtures("worker")
def test_running_job_stops_soon_after_it_was_cancelled(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions, tenant: TenantRow
) -> None:
    job = queue_stored(network="endless")
    bell.ring()
    until(lambda: running(sessions, job))

    with sessions.begin() as session:
        cancel_job(session, tenant.id, job.id)

    until(lambda: ended(sessions, job), patience_s=2.0)
    assert reload(sessions, job).state is State.CANCELLED


@pytest.mark.usefixtures("worker")
def test_worker_at_a_long_job_hoards_no_message_and_answers_pings(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions, tenant: TenantRow, app: Celery
) -> None:
    job = queue_stored(network="endless")
    bell.ring()
    until(lambda: running(sessions, job))

    bell.ring(3)
    answers = app.control.ping(timeout=5.0)
    time.sleep(1.0)
    left = bell.unanswered()
    with sessions.begin() as session:
        cancel_job(session, tenant.id, job.id)

    assert left == 3
    assert [answer["ok"] for named in answers for answer in named.values()] == ["pong"]
    until(lambda: not bell.unanswered())


def test_job_of_a_killed_process_is_taken_back_and_finished_by_another(
    worker: Popen[bytes],
    queue_stored: QueueStored,
    bell: Doorbell,
    sessions: Sessions,
    settings: Settings,
) -> None:
    job = queue_stored(network="slow")
    bell.ring()
    until(lambda: running(sessions, job))
    [child] = children(worker.pid)

    os.kill(child, signal.SIGKILL)
    killed_at = time.monotonic()
    keep_up_until_ended(sessions, bell, settings, job)

    finished = reload(sessions, job)
    assert (finished.state, finished.attempts) == (State.SUCCEEDED, 2)
    assert time.monotonic() - killed_at >= LEASE_S - 1
    with sessions.begin() as session:
        assert len(session.scalars(select(ReportRow)).all()) == 1


@pytest.mark.usefixtures("worker")
def test_job_that_kills_every_process_is_put_into_quarantine(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions, settings: Settings
) -> None:
    job = queue_stored(network="deadly")
    bell.ring()

    keep_up_until_ended(sessions, bell, settings, job)

    given_up = reload(sessions, job)
    assert (given_up.state, given_up.error_code) == (State.QUARANTINED, "worker_lost")
    assert given_up.attempts == settings.max_attempts


@pytest.mark.usefixtures("worker")
def test_job_whose_message_redis_lost_is_rung_again_and_finished(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    job = queue_stored(network="quick")

    ring_again(sessions, bell)

    until(lambda: ended(sessions, job))
    assert reload(sessions, job).state is State.SUCCEEDED


@pytest.mark.usefixtures("worker")
def test_job_that_ends_leaves_word_for_its_client(
    queue_stored: QueueStored, bell: Doorbell, sessions: Sessions
) -> None:
    job = queue_stored(network="quick", callback_url="https://example.org/done?token=t")

    bell.ring()

    until(lambda: ended(sessions, job))
    with sessions.begin() as session:
        notice = session.scalars(select(NoticeRow)).one()
    assert (notice.job_id, notice.event) == (job.id, "job.succeeded")
