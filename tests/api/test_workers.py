"""Workers over HTTP: everybody with a key sees them, and nobody another hospital's job."""

from db.session import Sessions
from db.tables import TenantRow
from db.workers import Load, Work, heartbeat
from hilum.workers import LOST_S, WorkerState
from tests.api.caller import Caller
from tests.db.factories import queue_job
from tests.db.test_workers import grow_silent, make_worker


def test_worker_is_listed_with_what_it_runs_for_whoever_asks(
    caller: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        load = Load(["ward@1.0.0"], 2**31, 2**33, 2**35, 0.25)
        heartbeat(session, make_worker(), Work(WorkerState.BUSY, job.id, 4), load)

    [item] = caller.get("/v1/workers").json["items"]

    assert (item["name"], item["state"], item["job_id"]) == ("ward-3:17", "busy", str(job.id))
    assert (item["device"], item["gpu"], item["jobs_done"]) == ("cuda:0", "NVIDIA A30", 4)
    assert (item["networks"], item["gpu_utilisation"]) == (["ward@1.0.0"], 0.25)


def test_job_of_another_hospital_is_not_told_of(
    stranger: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        heartbeat(session, make_worker(), Work(WorkerState.BUSY, job.id), Load())

    answer = stranger.get("/v1/workers")

    assert [(item["state"], item["job_id"]) for item in answer.json["items"]] == [("busy", None)]
    assert str(job.id) not in answer.text


def test_worker_that_fell_silent_is_lost(caller: Caller, sessions: Sessions) -> None:
    worker = make_worker()
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())
        grow_silent(session, worker, seconds=LOST_S + 1)

    [item] = caller.get("/v1/workers").json["items"]

    assert item["state"] == "lost"


def test_workers_are_not_for_everybody(anyone: Caller) -> None:
    assert anyone.get("/v1/workers").refusal == (401, "missing_key")
