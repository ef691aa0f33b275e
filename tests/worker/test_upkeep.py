from collections.abc import Iterator

import pytest
import redis
from celery import Celery
from sqlalchemy import text

from db.jobs import mark_rung
from db.session import Sessions
from db.tables import JobRow, TenantRow
from hilum.jobs import Priority, State
from hilum.settings import Settings
from tests.db.factories import claim, queue_job
from worker.celery import SERVICE_QUEUE, make_app
from worker.doorbell import Doorbell
from worker.upkeep import keep_up


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    app = make_app(settings)
    yield app
    app.close()


@pytest.fixture
def bell(app: Celery) -> Doorbell:
    return Doorbell(app)


def waiting(settings: Settings, queue: str) -> int:
    with redis.Redis.from_url(settings.redis_url) as client:
        return int(client.llen(queue))


def age(sessions: Sessions, seconds: int = 60) -> None:
    with sessions.begin() as session:
        session.execute(
            text(
                "UPDATE jobs SET created_at = created_at - make_interval(secs => :s),"
                " rung_at = rung_at - make_interval(secs => :s),"
                " lease_until = lease_until - make_interval(secs => :s)"
            ),
            {"s": seconds},
        )


def reload(sessions: Sessions, job: JobRow) -> JobRow:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id)


def test_job_nobody_rang_for_is_rung(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id, priority=Priority.BULK)
    age(sessions)

    keep_up(sessions, bell, settings)
    keep_up(sessions, bell, settings)

    assert waiting(settings, "bulk") == 1
    assert reload(sessions, job).rung_at is not None


def test_job_that_was_only_just_submitted_is_left_to_its_submitter(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)

    keep_up(sessions, bell, settings)

    assert waiting(settings, "routine") == 0


def test_message_that_redis_lost_is_sent_again(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        mark_rung(session, [job.id])
    bell.ring(job.id, job.priority)
    age(sessions)
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()

    keep_up(sessions, bell, settings)

    assert waiting(settings, "routine") == 1


def test_jobs_that_wait_in_a_long_queue_are_not_rung_again_and_again(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id) for _ in range(3)]
        mark_rung(session, [job.id for job in jobs])
    for job in jobs:
        bell.ring(job.id, job.priority)
    age(sessions)

    for _ in range(3):
        keep_up(sessions, bell, settings)

    assert waiting(settings, "routine") == 3


def test_job_of_a_lost_worker_is_taken_back_and_rung_at_once(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        claim(session, job)
    age(sessions, 120)

    keep_up(sessions, bell, settings)

    assert reload(sessions, job).state is State.QUEUED
    assert waiting(settings, "routine") == 1


def test_client_of_a_job_that_was_given_up_is_told(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    once = settings.model_copy(update={"max_attempts": 1})
    with sessions.begin() as session:
        for url in ("https://example.org/done", None):
            claim(session, queue_job(session, tenant.id, callback_url=url))
    age(sessions, 120)

    keep_up(sessions, bell, once)

    assert waiting(settings, SERVICE_QUEUE) == 1


def test_queue_that_redis_has_not_heard_of_is_empty(bell: Doorbell) -> None:
    assert [bell.waiting(priority) for priority in Priority] == [0, 0, 0]
