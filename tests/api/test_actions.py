"""What is done with jobs that are there, one by one and many at once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from apiflask import APIFlask

from api.deeds import ACTS
from api.schemas.actions import Action
from db.claims import claim_job, fail_job
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import Quota, set_quota
from db.thresholds import add_thresholds, choose_thresholds
from hilum.grading import MOSMED, Grade, Thresholds
from hilum.jobs import QUEUE
from tests.api.caller import Caller
from tests.db.factories import claim, finished_job, queue_job

STRICT = Thresholds("strict-1", 0.001, (0.05, 0.5, 0.75), Grade.CT_2, 0.0, 0.0, "a test")


@pytest.fixture
def failed(caller: Caller, archive: bytes, sessions: Sessions) -> str:
    """The id of a job whose worker was lost."""
    job_id: str = caller.send(archive).json["id"]
    with sessions.begin() as session:
        held = claim_job(session, UUID(job_id), worker="gpu", lease_s=60, max_attempts=3)
        assert held is not None
        fail_job(session, held, "worker_lost", "Its worker was lost.")
    return job_id


@pytest.fixture
def strict(sessions: Sessions) -> str:
    """The version of thresholds that call every chest alarming."""
    with sessions.begin() as session:
        add_thresholds(session, STRICT, by="a test")
    return STRICT.version


@pytest.fixture
def several(sessions: Sessions, tenant: TenantRow) -> dict[str, str]:
    """Jobs in every state that matters, by that state."""
    with sessions.begin() as session:
        failed, lost, running = (queue_job(session, tenant.id) for _ in range(3))
        fail_job(session, claim(session, failed), "not_axial", "No.")
        fail_job(session, claim(session, lost), "worker_lost", "Gone.")
        claim(session, running)
        jobs = {
            "failed": failed,
            "lost": lost,
            "running": running,
            "queued": queue_job(session, tenant.id),
            "succeeded": finished_job(session, tenant.id),
        }
    return {name: str(job.id) for name, job in jobs.items()}


def rung(valkey_url: str) -> int:
    with redis.Redis.from_url(valkey_url) as broker:
        return int(broker.llen(QUEUE))


def act(caller: Caller, action: str, **fields: Any) -> Any:
    answer = caller.post_json("/v1/jobs/actions", {"action": action, **fields})
    assert answer.status == 200, answer.text
    return answer.json


# ── One ───────────────────────────────────────────────────────────────────────────────────────


def test_failed_job_is_tried_again_by_its_link(
    caller: Caller, failed: str, valkey_url: str
) -> None:
    before = caller.get(f"/v1/jobs/{failed}").json
    heard = rung(valkey_url)

    answer = caller.post_json(before["links"]["retry"], {})

    job = answer.json
    assert answer.status == 202
    assert answer.headers["Location"] == f"/v1/jobs/{failed}"
    assert (job["id"], job["state"], job["error"], job["attempts"]) == (failed, "queued", None, 0)
    assert (job["timings_s"], job["finished_at"], job["queue_position"]) == ({}, None, 0)
    assert job["links"]["retry"] is None
    assert rung(valkey_url) == heard + 1


def test_events_say_who_tried_a_job_again(caller: Caller, failed: str) -> None:
    caller.post_json(f"/v1/jobs/{failed}/retry", {})

    events = caller.get(f"/v1/jobs/{failed}/events").json["items"]

    assert [each["event"] for each in events][-3:] == ["failed", "retried", "queued"]
    assert events[-2]["detail"] == {
        "by": "key scanner",
        "before": "failed",
        "code": "worker_lost",
    }


def test_report_is_not_tried_away(caller: Caller, finished: str) -> None:
    refused = caller.post_json(f"/v1/jobs/{finished}/retry", {})

    assert refused.refusal == (409, "not_retriable")
    assert caller.get(f"/v1/jobs/{finished}").json["links"]["retry"] is None
    assert caller.get(f"/v1/reports/{finished}").status == 200


def test_study_that_was_sent_again_stands_in_the_way_by_name(
    caller: Caller, archive: bytes, failed: str
) -> None:
    again = caller.send(archive).json["id"]

    refused = caller.post_json(f"/v1/jobs/{failed}/retry", {})

    assert refused.refusal == (409, "not_retriable")
    assert again in refused.json["detail"]


def test_waiting_job_is_made_urgent(caller: Caller, archive: bytes) -> None:
    job = caller.send(archive, query={"priority": "bulk"}).json

    answer = caller.patch_json(job["links"]["prioritise"], {"priority": "stat"})

    assert (answer.status, answer.json["priority"]) == (200, "stat")
    events = caller.get(f"/v1/jobs/{job['id']}/events").json["items"]
    assert events[-1]["event"] == "prioritised"


def test_ended_job_is_not_made_urgent(caller: Caller, finished: str) -> None:
    refused = caller.patch_json(f"/v1/jobs/{finished}", {"priority": "stat"})

    assert refused.refusal == (409, "not_prioritisable")
    assert caller.get(f"/v1/jobs/{finished}").json["links"]["prioritise"] is None


@pytest.mark.parametrize(
    "wrong", [{}, {"priority": "now"}, {"priority": "stat", "state": "failed"}]
)
def test_what_is_no_priority_is_refused(
    caller: Caller, finished: str, wrong: dict[str, str]
) -> None:
    assert caller.patch_json(f"/v1/jobs/{finished}", wrong).refusal == (422, "invalid_request")


def test_study_of_a_job_is_run_again_by_another_network(
    caller: Caller, finished: str, valkey_url: str
) -> None:
    heard = rung(valkey_url)
    rerun = caller.get(f"/v1/jobs/{finished}").json["links"]["rerun"]

    answer = caller.post_json(rerun, {"network": "other", "priority": "bulk"})
    again = caller.post_json(rerun, {"network": "other"})

    job = answer.json
    assert answer.status == 202
    assert (job["network"], job["priority"], job["state"]) == ("other@1.0.0", "bulk", "queued")
    assert again.json["id"] == job["id"] != finished
    assert rung(valkey_url) == heard + 1


def test_network_that_is_not_there_runs_nothing(caller: Caller, finished: str) -> None:
    refused = caller.post_json(f"/v1/jobs/{finished}/rerun", {"network": "resnet9000"})

    assert refused.refusal == (422, "unknown_network")


def test_report_is_graded_by_other_thresholds(caller: Caller, finished: str, strict: str) -> None:
    regrade = caller.get(f"/v1/jobs/{finished}").json["links"]["regrade"]

    answer = caller.post_json(regrade, {"thresholds": strict})
    again = caller.post_json(regrade, {"thresholds": strict})

    assert answer.status == 200
    assert answer.json["assessment"]["verdict"] == again.json["assessment"]["verdict"] == "Alarming"
    events = caller.get(f"/v1/jobs/{finished}/events").json["items"]
    [told] = [each["detail"] for each in events if each["event"] == "regraded"]
    assert (told["by"], told["after"][0]) == ("key scanner", strict)


def test_report_is_graded_by_those_that_new_ones_are_where_none_are_named(
    caller: Caller, finished: str, strict: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        choose_thresholds(session, strict, by="a test")

    one = caller.post_json(f"/v1/reports/{finished}/regrade", {})

    assert one.json["assessment"]["thresholds"] == strict


@pytest.mark.parametrize("version", ["lenient", "a\x00b", "\ud800", "'--"])
def test_unknown_thresholds_are_refused_with_those_there_are(
    caller: Caller, finished: str, version: str
) -> None:
    refused = caller.post_json(f"/v1/reports/{finished}/regrade", {"thresholds": version})

    assert refused.refusal == (422, "invalid_request")
    assert MOSMED.version in refused.json["detail"]


# ── Many ──────────────────────────────────────────────────────────────────────────────────────


def test_one_that_is_refused_hurts_no_other(
    caller: Caller, stranger: Caller, several: dict[str, str], valkey_url: str
) -> None:
    nowhere = str(uuid4())

    done = act(caller, "retry", job_ids=[*several.values(), nowhere])

    assert done["done"] == [several["failed"], several["lost"]]
    refused = {one["id"]: one["code"] for one in done["refused"]}
    others = [several[name] for name in ("running", "queued", "succeeded")]
    assert refused == {**dict.fromkeys(others, "not_retriable"), nowhere: "unknown_job"}
    assert (done["made"], done["left"], done["next_cursor"]) == ([], 0, None)
    assert rung(valkey_url) == 2
    theirs = act(stranger, "cancel", job_ids=list(several.values()))
    assert {one["code"] for one in theirs["refused"]} == {"unknown_job"}


def test_everything_that_failed_for_one_reason_is_tried_again(
    caller: Caller, several: dict[str, str]
) -> None:
    chosen = {"state": "failed", "error_code": "worker_lost"}

    done = act(caller, "retry", filter=chosen)

    assert (done["done"], done["refused"], done["left"]) == ([several["lost"]], [], 0)
    assert caller.get(f"/v1/jobs/{several['failed']}").json["state"] == "failed"


@pytest.mark.parametrize(
    ("action", "fields", "done"),
    [
        ("cancel", {}, {"queued", "running"}),
        ("prioritise", {"priority": "stat"}, {"queued"}),
        ("regrade", {}, {"succeeded"}),
        ("rerun", {"network": "other", "priority": "bulk"}, set()),
    ],
)
def test_every_action_is_done_with_those_that_allow_it(
    caller: Caller, several: dict[str, str], action: str, fields: dict[str, str], done: set[str]
) -> None:
    answer = act(caller, action, job_ids=list(several.values()), **fields)

    expected = done or set(several)
    assert answer["done"] == [several[name] for name in several if name in expected]
    assert len(answer["refused"]) == len(several) - len(expected)
    assert len(answer["made"]) == (len(several) if action == "rerun" else 0)


@pytest.mark.usefixtures("several")
def test_filter_is_worked_through_call_by_call(caller: Caller) -> None:
    chosen: dict[str, Any] = {"filter": {"pipeline": "ct-lesions"}}
    counted = act(caller, "cancel", **chosen, limit=0)
    reached: list[str] = []
    left: list[int] = []
    cursor: dict[str, str] = {}

    while True:
        answer = act(caller, "cancel", **chosen, **cursor, limit=2)
        reached += [*answer["done"], *(one["id"] for one in answer["refused"])]
        left.append(answer["left"])
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}

    assert (counted["done"], counted["left"]) == ([], 5)
    assert left == [3, 1, 0]
    assert len(set(reached)) == 5


def test_quota_stops_retries_where_it_is_reached(
    caller: Caller, several: dict[str, str], sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        set_quota(session, tenant.name, Quota(jobs=3))

    done = act(caller, "retry", filter={"state": "failed"})

    assert done["done"] == [several["failed"]]
    assert [one["code"] for one in done["refused"]] == ["too_many_jobs"]


def test_bulk_actions_that_meet_leave_each_job_with_one_outcome(
    app: APIFlask, key: str, several: dict[str, str], valkey_url: str
) -> None:
    ids = [several["failed"], several["lost"]]

    def retry(_: int) -> list[str]:
        done: list[str] = act(Caller(app.test_client(), key), "retry", job_ids=ids)["done"]
        return done

    with ThreadPoolExecutor(4) as pool:
        done = [job_id for answer in pool.map(retry, range(8)) for job_id in answer]

    assert sorted(done) == sorted(ids)
    assert rung(valkey_url) == 2


WRONG: dict[str, dict[str, Any]] = {
    "neither ids nor filter": {"action": "cancel"},
    "both": {"action": "cancel", "job_ids": [str(uuid4())], "filter": {"state": "queued"}},
    "no id": {"action": "cancel", "job_ids": []},
    "an empty filter": {"action": "cancel", "filter": {}},
    "a misspelt filter": {"action": "cancel", "filter": {"stat": "queued"}},
    "a wrong filter": {"action": "cancel", "filter": {"state": "sleeping"}},
    "what is no id": {"action": "cancel", "job_ids": ["x"]},
    "too many ids": {"action": "cancel", "job_ids": [str(uuid4())] * 1001},
    "an unknown action": {"action": "delete", "filter": {"state": "queued"}},
    "a field of another action": {
        "action": "cancel",
        "priority": "stat",
        "filter": {"state": "queued"},
    },
    "no priority": {"action": "prioritise", "filter": {"state": "queued"}},
    "too many at once": {"action": "cancel", "filter": {"state": "queued"}, "limit": 501},
    "a made-up cursor": {"action": "cancel", "filter": {"state": "queued"}, "cursor": "x"},
    "unknown thresholds": {
        "action": "regrade",
        "thresholds": "lenient",
        "filter": {"state": "succeeded"},
    },
}


@pytest.mark.parametrize("what", WRONG)
def test_malformed_action_changes_nothing(
    caller: Caller, several: dict[str, str], what: str
) -> None:
    answer = caller.post_json("/v1/jobs/actions", WRONG[what])

    assert answer.refusal == (422, "invalid_request")
    assert answer.json["detail"]
    assert caller.get(f"/v1/jobs/{several['queued']}").json["state"] == "queued"


def test_largest_call_fits_into_a_body(caller: Caller) -> None:
    ids = [str(uuid4()) for _ in range(1000)]

    assert len(act(caller, "cancel", job_ids=ids)["refused"]) == 1000


def test_every_action_of_the_document_can_be_done() -> None:
    assert set(ACTS) == set(Action)
