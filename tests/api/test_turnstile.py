import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from apiflask import APIFlask
from structlog.testing import capture_logs

from api import create_app, turnstile
from api.parts import EXTENSION
from api.turnstile import Turnstile
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import Quota, new_key, set_quota
from hilum.errors import TooManyRequests
from hilum.settings import Settings
from tests.api.caller import Caller

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def limited(sessions: Sessions, tenant: TenantRow) -> TenantRow:
    """A hospital that may ask three times a minute."""
    with sessions.begin() as session:
        set_quota(session, tenant.name, Quota(requests=3))
    return tenant


def test_request_too_many_is_refused_with_the_number(caller: Caller, limited: TenantRow) -> None:
    statuses = [caller.get("/v1/jobs").status for _ in range(3)]

    refused = caller.get("/v1/studies")

    assert statuses == [200] * 3
    assert refused.refusal == (429, "too_many_requests")
    assert "3 requests came in the last 60 s, expected at most 3" in refused.json["detail"]
    assert 50 < int(refused.headers["Retry-After"]) <= 60
    assert limited.name


def test_requests_of_all_keys_and_of_all_servers_are_counted_together(
    settings: Settings, caller: Caller, sessions: Sessions, limited: TenantRow
) -> None:
    with sessions.begin() as session:
        another = new_key(session, limited.name, "archive")
    app = create_app(settings)
    elsewhere = Caller(app.test_client(), another)

    statuses = [one.get("/v1/jobs").status for one in (caller, elsewhere, caller, elsewhere)]

    assert statuses == [200, 200, 200, 429]
    app.extensions[EXTENSION].close()


@pytest.mark.usefixtures("limited")
def test_health_is_not_counted(caller: Caller) -> None:
    for _ in range(5):
        assert caller.get("/health/live").status == 200

    assert caller.get("/v1/jobs").status == 200


@pytest.mark.usefixtures("limited")
def test_requests_that_meet_are_counted_each(app: APIFlask, key: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        callers = (Caller(app.test_client(), key) for _ in range(12))
        statuses = list(pool.map(lambda one: one.get("/v1/jobs").status, callers))

    assert statuses.count(200) == 3
    assert statuses.count(429) == 9


@pytest.mark.usefixtures("limited")
def test_who_waits_as_long_as_told_is_let_through_and_not_before(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "WINDOW_S", 3)
    for _ in range(3):
        caller.get("/v1/jobs")
    wait_s = int(caller.get("/v1/jobs").headers["Retry-After"])

    time.sleep(wait_s - 1.5)
    early = caller.get("/v1/jobs")
    time.sleep(int(early.headers["Retry-After"]))

    assert early.status == 429
    assert caller.get("/v1/jobs").status == 200


@pytest.mark.usefixtures("limited")
def test_everybody_is_let_through_while_redis_is_away(settings: Settings, key: str) -> None:
    app = create_app(settings.model_copy(update={"redis_url": NOBODY}))
    caller = Caller(app.test_client(), key)

    with capture_logs() as logs:
        statuses = {caller.get("/v1/jobs").status for _ in range(9)}

    assert statuses == {200}
    assert [line["event"] for line in logs].count("requests.uncounted") == 1
    app.extensions[EXTENSION].close()


def test_outage_is_one_line_however_long_and_costs_no_time(
    monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setattr(turnstile, "AWAY_S", 0.0)
    away, here = Turnstile(NOBODY), Turnstile(redis_url)
    begun = time.monotonic()

    with capture_logs() as logs:
        for _ in range(5):
            away.count(uuid4(), most=1)

    assert len(logs) == 1
    assert time.monotonic() - begun < 5
    away._limiter = here._limiter
    somebody = uuid4()
    away.count(somebody, most=1)
    with pytest.raises(TooManyRequests):
        away.count(somebody, most=1)
    away.close()
    here.close()
