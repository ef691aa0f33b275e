import json
import time
from base64 import b64decode

import pytest
import redis

from api.queue import Bell
from db.session import Sessions
from db.tables import JobRow, TenantRow
from hilum.errors import QueueUnavailable
from hilum.jobs import ANALYSE, Priority
from tests.db.factories import queue_job

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def job(sessions: Sessions, tenant: TenantRow) -> JobRow:
    with sessions.begin() as session:
        return queue_job(session, tenant.id, priority=Priority.STAT)


def test_message_is_the_task_and_the_id_alone(redis_url: str, job: JobRow) -> None:
    bell = Bell(redis_url)

    heard = bell.ring(job)

    assert heard
    with redis.Redis.from_url(redis_url) as broker:
        [raw] = broker.lrange("stat", 0, -1)
    message = json.loads(raw)
    arguments, keywords, _ = json.loads(b64decode(message["body"]))
    assert message["headers"]["task"] == ANALYSE
    assert (arguments, keywords) == ([str(job.id)], {})
    bell.close()


def test_broker_that_is_down_costs_a_moment_and_raises_nothing(job: JobRow) -> None:
    bell = Bell(NOBODY)
    begun = time.monotonic()

    heard = bell.ring(job)

    assert not heard
    assert time.monotonic() - begun < 2
    bell.close()


def test_connection_that_died_is_replaced(redis_url: str, job: JobRow) -> None:
    bell = Bell(redis_url)
    bell.ring(job)
    with redis.Redis.from_url(redis_url) as broker:
        broker.client_kill_filter(_type="normal", skipme=True)

    assert bell.ring(job)
    bell.close()


def test_broker_that_answers_is_well(redis_url: str) -> None:
    bell = Bell(redis_url)

    bell.check()

    bell.close()


def test_broker_that_is_down_is_told_by_name() -> None:
    bell = Bell(NOBODY)

    with pytest.raises(QueueUnavailable):
        bell.check()

    bell.close()
