import json
import time
from base64 import b64decode

import pytest
import redis

from api.queue import Bell
from hilum.errors import QueueUnavailable
from hilum.jobs import QUEUE, TAKE_TURN

NOBODY = "redis://127.0.0.1:1/0"


def test_message_is_the_task_alone(redis_url: str) -> None:
    bell = Bell(redis_url)

    heard = bell.ring()

    assert heard
    with redis.Redis.from_url(redis_url) as broker:
        [raw] = broker.lrange(QUEUE, 0, -1)
    message = json.loads(raw)
    arguments, keywords, _ = json.loads(b64decode(message["body"]))
    assert message["headers"]["task"] == TAKE_TURN
    assert (arguments, keywords) == ([], {})
    bell.close()


def test_broker_that_is_down_costs_a_moment_and_raises_nothing() -> None:
    bell = Bell(NOBODY)
    begun = time.monotonic()

    heard = bell.ring()

    assert not heard
    assert time.monotonic() - begun < 2
    bell.close()


def test_connection_that_died_is_replaced(redis_url: str) -> None:
    bell = Bell(redis_url)
    bell.ring()
    with redis.Redis.from_url(redis_url) as broker:
        broker.client_kill_filter(_type="normal", skipme=True)

    assert bell.ring()
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
