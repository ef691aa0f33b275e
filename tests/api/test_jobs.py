from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis

from db.claims import Claim, claim_job, fail_job, report_progress
from db.session import Sessions
from hilum.jobs import QUEUE, Stage
from tests.api.caller import Caller
from tests.db.factories import have_worker
from tests.phantoms import SLICES, healthy, zip_chest


@pytest.fixture
def queued(caller: Caller, archive: bytes) -> str:
    job_id: str = caller.send(archive).json["id"]
    return job_id


@pytest.fixture
def claim(queued: str, sessions: Sessions) -> Claim:
    """The hold of a worker on the queued job."""
    with sessions.begin() as session:
        taken = claim_job(session, UUID(queued), worker="gpu", lease_s=60, max_attempts=3)
    assert taken is not None
    return taken


def test_waiting_job_tells_its_place_and_when_to_ask_again(caller: Caller, queued: str) -> None:
    answer = caller.get(f"/v1/jobs/{queued}")

    job = answer.json
    assert answer.headers["Retry-After"] == "2"
    assert (job["state"], job["stage"], job["queue_position"]) == ("queued", None, 0)
    assert (job["attempts"], job["fraction"], job["error"]) == (0, 0.0, None)
    assert job["links"]["report"] is None
    assert job["links"]["cancel"] == f"/v1/jobs/{queued}"


def test_running_job_tells_stage_and_slices(
    caller: Caller, queued: str, claim: Claim, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        report_progress(session, claim, Stage.SLICES, 7, 20, lease_s=60)

    answer = caller.get(f"/v1/jobs/{queued}")

    job = answer.json
    assert answer.headers["Retry-After"] == "1"
    assert (job["state"], job["stage"], job["attempts"]) == ("running", "slices", 1)
    assert job["slices"] == {"done": 7, "total": 20}
    assert 0.3 < job["fraction"] < 0.6
    assert job["queue_position"] is None


@pytest.mark.parametrize(
    ("stage", "done"), [(Stage.READING, 0), (Stage.LUNGS, 0), (Stage.MEASURING, SLICES)]
)
def test_slices_are_counted_by_the_stage(
    caller: Caller, queued: str, claim: Claim, sessions: Sessions, stage: Stage, done: int
) -> None:
    with sessions.begin() as session:
        report_progress(session, claim, stage, 1, 2, lease_s=60)

    assert caller.get(f"/v1/jobs/{queued}").json["slices"] == {"done": done, "total": SLICES}


def test_finished_job_links_to_its_report_and_is_not_asked_for_again(
    caller: Caller, finished: str
) -> None:
    answer = caller.get(f"/v1/jobs/{finished}")

    job = answer.json
    assert "Retry-After" not in answer.headers
    assert (job["state"], job["fraction"], job["eta_s"]) == ("succeeded", 1.0, None)
    assert job["slices"] == {"done": SLICES, "total": SLICES}
    assert job["timings_s"] == {"reading": 1.0, "slices": 3.0}
    assert job["links"]["report"] == f"/v1/reports/{finished}"
    assert job["links"]["cancel"] is None


def test_failed_job_says_why(caller: Caller, queued: str, claim: Claim, sessions: Sessions) -> None:
    with sessions.begin() as session:
        fail_job(session, claim, "missing_slices", "Slices are missing.")

    job = caller.get(f"/v1/jobs/{queued}").json

    assert job["state"] == "failed"
    assert job["error"] == {"code": "missing_slices", "message": "Slices are missing."}


def test_failed_job_is_followed_by_a_new_one_when_the_study_comes_again(
    caller: Caller, archive: bytes, queued: str, claim: Claim, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        fail_job(session, claim, "unreadable_pixels", "The pixels cannot be decoded.")

    again = caller.send(archive).json

    assert again["id"] != queued
    assert again["state"] == "queued"


@pytest.mark.usefixtures("finished")
def test_time_left_is_known_once_a_job_of_the_kind_has_ended(
    caller: Caller, sessions: Sessions, tmp_path: Path
) -> None:
    with sessions.begin() as session:
        have_worker(session)
    other = zip_chest(tmp_path / "other.zip", healthy()).read_bytes()

    alike = caller.send(other).json
    unlike = caller.send(other, query={"network": "other"}).json

    assert alike["eta_s"] >= 0
    assert unlike["eta_s"] is None


def test_waiting_job_is_cancelled_at_once(caller: Caller, queued: str) -> None:
    answer = caller.delete(f"/v1/jobs/{queued}")

    assert answer.status == 200
    assert answer.json["state"] == "cancelled"
    assert caller.get(f"/v1/jobs/{queued}").json["state"] == "cancelled"


@pytest.mark.usefixtures("claim")
def test_running_job_is_asked_to_stop(caller: Caller, queued: str) -> None:
    answer = caller.delete(f"/v1/jobs/{queued}")

    assert (answer.json["state"], answer.json["cancel_requested"]) == ("running", True)
    assert answer.headers["Retry-After"] == "1"


def test_ended_job_is_not_cancelled(caller: Caller, finished: str) -> None:
    answer = caller.delete(f"/v1/jobs/{finished}")

    assert answer.refusal == (409, "not_cancellable")
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("path", ["", "/events"])
def test_unknown_job_is_not_found(caller: Caller, path: str) -> None:
    assert caller.get(f"/v1/jobs/{uuid4()}{path}").refusal == (404, "unknown_job")


def test_unknown_job_is_not_cancelled(caller: Caller) -> None:
    assert caller.delete(f"/v1/jobs/{uuid4()}").refusal == (404, "unknown_job")


def test_malformed_id_is_not_found(caller: Caller) -> None:
    assert caller.get("/v1/jobs/42").refusal == (404, "not_found")


def test_events_tell_the_story_of_a_job(caller: Caller, finished: str) -> None:
    events = caller.get(f"/v1/jobs/{finished}/events").json["items"]

    assert [event["event"] for event in events] == ["submitted", "running", "succeeded"]
    assert events[0]["detail"] == {"priority": "routine"}


def test_kept_study_is_run_again_by_another_network(caller: Caller, finished: str) -> None:
    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]

    answer = caller.post_json("/v1/jobs", {"study_id": study_id, "network": "other"})

    assert answer.status == 202
    assert answer.json["id"] != finished
    assert (answer.json["network"], answer.json["state"]) == ("other@1.0.0", "queued")
    assert answer.json["slices"]["total"] == SLICES


def test_running_a_study_again_by_the_same_network_is_the_same_job(
    caller: Caller, finished: str
) -> None:
    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]

    assert caller.post_json("/v1/jobs", {"study_id": study_id}).json["id"] == finished


def test_job_of_an_unknown_study_is_refused(caller: Caller) -> None:
    answer = caller.post_json("/v1/jobs", {"study_id": str(uuid4())})

    assert answer.refusal == (404, "unknown_study")


@pytest.mark.parametrize(
    "wrong", [{"study_id": "x"}, {}, {"study_id": str(uuid4()), "colour": "red"}]
)
def test_malformed_order_of_a_job_names_the_field(caller: Caller, wrong: dict[str, str]) -> None:
    answer = caller.post_json("/v1/jobs", wrong)

    assert answer.refusal == (422, "invalid_request")
    assert answer.json["errors"]


def test_workers_are_told_that_there_is_one_more_job(
    caller: Caller, archive: bytes, valkey_url: str
) -> None:
    caller.send(archive, query={"priority": "bulk"})

    with redis.Redis.from_url(valkey_url) as broker:
        assert broker.llen(QUEUE) == 1


@pytest.mark.usefixtures("queued")
def test_answer_to_a_known_job_rings_nobody(
    caller: Caller, archive: bytes, valkey_url: str
) -> None:
    caller.send(archive)

    with redis.Redis.from_url(valkey_url) as broker:
        assert broker.llen(QUEUE) == 1
