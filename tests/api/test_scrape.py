"""Metrics of the installation, read as Prometheus reads them, and who may."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from apiflask import APIFlask
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from api import create_app
from api.parts import EXTENSION
from db.changes import cancel_job
from db.claims import give_back
from db.pauses import pause_queue
from db.session import Sessions
from db.tables import TenantRow
from db.upkeep import note_upkeep
from db.workers import Load, Work, heartbeat
from hilum.jobs import Priority
from hilum.settings import Settings
from hilum.workers import LOST_S, WorkerState
from tests.api.caller import Caller
from tests.api.server import running_server
from tests.db.factories import claim, finished_job, queue_job
from tests.db.test_queue import let_time_pass
from tests.db.test_workers import grow_silent, make_worker
from tests.docs.metrics import DATABASE, WEB_SERVERS

TOKEN = "prometheus-shows-this"


@contextmanager
def serving(settings: Settings, **changes: object) -> Iterator[APIFlask]:
    app = create_app(settings.model_copy(update=changes))
    yield app
    app.extensions[EXTENSION].close()


def read(text: str) -> list[Sample]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Return a metric's values by those of its labels, in the order of their names."""
    found = [sample for sample in read(text) if sample.name == name]
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in found
    }


def test_queue_is_told_by_state_priority_and_age(
    anyone: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id, priority=Priority.STAT)
        again = queue_job(session, tenant.id)
        let_time_pass(session, 30)
        give_back(session, claim(session, again), "The disk is full.", max_attempts=3)
        claim(session, queue_job(session, tenant.id))
        finished_job(session, tenant.id)

    text = anyone.get("/metrics").text

    jobs = values(text, "hilum_jobs")
    assert (jobs["queued",], jobs["running",], jobs["succeeded",], jobs["failed",]) == (2, 1, 1, 0)
    assert values(text, "hilum_queue_jobs") == {("stat",): 1, ("routine",): 1, ("bulk",): 0}
    ages = values(text, "hilum_queue_oldest_seconds")
    assert (ages["stat",], ages["bulk",]) == (pytest.approx(30, abs=5), 0)
    assert values(text, "hilum_autoscale_jobs") == {(): 3}
    assert values(text, "hilum_jobs_tried_before") == {(): 1}
    assert values(text, "hilum_last_claim_seconds")[()] < 10
    assert values(text, "hilum_queue_stalled") == {(): 0}
    assert values(text, "hilum_deliveries")["archive", "waiting"] == 0
    assert values(text, "hilum_upkeep_seconds") == {}


def test_notices_of_webhooks_and_the_upkeep_are_told(
    anyone: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id, callback_url="https://example.org/told")
        cancel_job(session, tenant.id, job.id)
        note_upkeep(session, "gpu-1:17")

    text = anyone.get("/metrics").text

    assert values(text, "hilum_deliveries")["webhook", "waiting"] == 1
    assert values(text, "hilum_upkeep_seconds")[()] < 10


def test_stall_is_told(anyone: Caller, sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        let_time_pass(session, 90)

    text = anyone.get("/metrics").text

    assert values(text, "hilum_queue_stalled") == {(): 1}
    assert values(text, "hilum_last_claim_seconds") == {}


def test_paused_queue_is_told_and_is_no_stall(
    anyone: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        let_time_pass(session, 90)
        for whose in (None, tenant.id):
            pause_queue(session, whose, by="user ada", reason="The power is cut.")

    text = anyone.get("/metrics").text

    assert values(text, "hilum_queue_stalled") == {(): 0}
    assert values(text, "hilum_queue_paused") == {("everything",): 1, ("hospitals",): 1}


def test_workers_are_told_by_state_and_device_with_their_load(
    anyone: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    busy, idle, lost = (make_worker(f"{name}:1") for name in "abc")
    with sessions.begin() as session:
        work = Work(WorkerState.BUSY, queue_job(session, tenant.id).id)
        heartbeat(session, busy, work, Load((), 2**31, 2**33, 2**35, 0.75))
        heartbeat(session, idle, Work(), Load())
        heartbeat(session, lost, Work(), Load(memory_bytes=1))
        grow_silent(session, lost, seconds=LOST_S + 1)

    text = anyone.get("/metrics").text

    assert values(text, "hilum_workers") == {
        ("cuda:0", "busy"): 1,
        ("cuda:0", "idle"): 1,
        ("cuda:0", "lost"): 1,
    }
    assert values(text, "hilum_workers_live") == {(): 2}
    assert values(text, "hilum_worker_memory_bytes") == {("a:1",): 2**31}
    assert values(text, "hilum_worker_gpu_memory_used_bytes") == {("a:1",): 2**33}
    assert values(text, "hilum_worker_gpu_memory_total_bytes") == {("a:1",): 2**35}
    assert values(text, "hilum_worker_gpu_utilisation") == {("a:1",): 0.75}


def test_requests_are_timed_by_their_route_and_never_by_what_a_client_wrote(
    caller: Caller,
) -> None:
    jobs, nowhere = ("GET", "/v1/jobs/<uuid:job_id>", "404"), ("", "", "404")
    count = "hilum_http_request_seconds_count"
    before = values(caller.get("/metrics").text, count)

    for number in range(3):
        caller.get(f"/v1/jobs/00000000-0000-0000-0000-00000000000{number}")
    caller.client.open("/planted-path", method="PLANTED").close()

    text = caller.get("/metrics").text
    after = values(text, count)
    assert after[jobs] - before.get(jobs, 0) == 3
    assert after[nowhere] - before.get(nowhere, 0) == 1
    assert "planted" not in text.lower()


def test_metrics_name_no_hospital_no_study_and_no_job(
    caller: Caller, finished: str, tenant: TenantRow
) -> None:
    text = caller.get("/metrics").text

    assert "hilum_jobs" in text
    named = (tenant.name, str(tenant.id), finished, "1.2.840")
    assert [name for name in named if name in text] == []


def test_metrics_are_those_of_the_document_and_no_others(anyone: Caller) -> None:
    anyone.get("/health/live")

    text = anyone.get("/metrics").text

    told = {
        family.name
        for family in text_string_to_metric_families(text)
        if not family.name.endswith("_created")
    }
    assert told <= {metric.name for metric in (*DATABASE, *WEB_SERVERS)}
    assert {"hilum_jobs", "hilum_http_request_seconds"} <= told


def test_web_server_tells_what_it_counted_where_the_database_is_away(settings: Settings) -> None:
    with serving(settings, database_url="postgresql://127.0.0.1:1/x") as app:
        answer = Caller(app.test_client(), None).get("/metrics")

    assert answer.status == 200
    assert values(answer.text, "hilum_database_up") == {(): 0}
    assert values(answer.text, "hilum_jobs") == {}
    assert "hilum_http_request_seconds" in answer.text


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("10.1.2.3", {}, 401),
        ("", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "10.1.2.3"}, 401),
        ("127.0.0.1", {"Forwarded": "for=10.1.2.3"}, 401),
    ],
)
def test_metrics_without_a_token_are_for_this_machine_alone(
    address: str, headers: dict[str, str], status: int, app: APIFlask
) -> None:
    response = app.test_client().get(
        "/metrics", headers=headers, environ_base={"REMOTE_ADDR": address}
    )

    with response:
        assert response.status_code == status
        assert ("hilum_jobs" in response.get_data(as_text=True)) == (status == 200)


@pytest.mark.parametrize(
    ("shown", "status", "code"),
    [
        (None, 401, "missing_key"),
        ("Bearer wrong", 401, "wrong_key"),
        (TOKEN, 401, "wrong_key"),
        ("Bearer ü", 401, "wrong_key"),
        (f"Bearer {TOKEN}", 200, None),
    ],
)
@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3"])
def test_metrics_with_a_token_are_for_whoever_shows_it(
    address: str, shown: str | None, status: int, code: str | None, settings: Settings
) -> None:
    with serving(settings, metrics_token=TOKEN) as app:
        headers = {"Authorization": shown} if shown else {}
        response = app.test_client().get(
            "/metrics", headers=headers, environ_base={"REMOTE_ADDR": address}
        )

        with response:
            assert response.status_code == status
            assert (response.get_json(silent=True) or {}).get("code") == code


def test_several_web_servers_of_one_address_tell_what_all_of_them_counted(
    settings: Settings,
) -> None:
    live = ("GET", "/health/live", "200")

    def counted(url: str) -> float:
        text = httpx.get(f"{url}/metrics").text
        return values(text, "hilum_http_request_seconds_count").get(live, 0)

    with running_server(settings, workers=2) as server:
        # A connection of its own for each, or one of them would answer all.
        before = counted(server.url)
        for _ in range(20):
            httpx.get(f"{server.url}/health/live")

        after = [counted(server.url) for _ in range(6)]

    assert after == [before + 20] * 6
