"""Many studies by one call, and one status of them all."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from apiflask import APIFlask

from db.claims import fail_job, report_progress
from db.jobs import job_for
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.tenants import Quota, add_tenant, set_quota
from hilum.jobs import QUEUE, Stage
from tests.api.caller import Caller
from tests.api.pieces import Pieces
from tests.db.factories import claim, finished_job, keep_study
from tests.phantoms import healthy, zip_chest


@pytest.fixture
def studies(sessions: Sessions, tenant: TenantRow) -> list[str]:
    """Three studies that are kept and were never run."""
    with sessions.begin() as session:
        return [str(keep_study(session, tenant.id).id) for _ in range(3)]


@pytest.fixture
def other(tmp_path: Path) -> bytes:
    """Another chest CT as a zip."""
    return zip_chest(tmp_path / "other.zip", healthy()).read_bytes()


def submit(caller: Caller, studies: list[str], **fields: Any) -> Any:
    answer = caller.post_json("/v1/batches", {"study_ids": studies, **fields})
    assert answer.status == 202, answer.text
    return answer.json


def jobs_of(caller: Caller, batch: Any) -> list[Any]:
    items: list[Any] = caller.get(batch["links"]["jobs"]).json["items"]
    return items


def test_one_call_runs_many_studies(caller: Caller, studies: list[str], valkey_url: str) -> None:
    answer = caller.post_json(
        "/v1/batches",
        {"study_ids": studies, "label": "ward 7", "network": "other", "priority": "bulk"},
    )

    batch = answer.json
    assert answer.status == 202
    assert answer.headers["Location"] == batch["links"]["self"]
    assert (batch["label"], batch["open"], batch["total"]) == ("ward 7", False, 3)
    assert batch["jobs"] == {
        "queued": 3,
        "running": 0,
        "succeeded": 0,
        "failed": 0,
        "cancelled": 0,
        "quarantined": 0,
    }
    jobs = jobs_of(caller, batch)
    assert {job["study_id"] for job in jobs} == set(studies)
    assert {(job["network"], job["priority"]) for job in jobs} == {("other@1.0.0", "bulk")}
    assert {job["slices"]["total"] for job in jobs} == {2}
    with redis.Redis.from_url(valkey_url) as broker:
        assert broker.llen(QUEUE) == 3


def test_job_that_is_there_is_joined_not_doubled(
    caller: Caller, studies: list[str], valkey_url: str
) -> None:
    alone = caller.post_json("/v1/jobs", {"study_id": studies[0]}).json["id"]

    first = submit(caller, [*studies, studies[1]])
    second = submit(caller, studies[:2])

    ids = {job["id"] for job in jobs_of(caller, first)}
    assert alone in ids
    assert {job["id"] for job in jobs_of(caller, second)} < ids
    assert (first["total"], second["total"]) == (3, 2)
    with redis.Redis.from_url(valkey_url) as broker:
        assert broker.llen(QUEUE) == 3


def test_unknown_studies_are_named_and_nothing_is_run(
    caller: Caller, studies: list[str], sessions: Sessions
) -> None:
    with sessions.begin() as session:
        foreign = str(keep_study(session, add_tenant(session, "charite").id).id)
    nowhere = str(uuid4())

    answer = caller.post_json("/v1/batches", {"study_ids": [*studies, foreign, nowhere]})

    assert answer.refusal == (404, "unknown_study")
    assert all(each in answer.json["detail"] for each in (foreign, nowhere))
    assert not any(each in answer.json["detail"] for each in studies)
    assert caller.get("/v1/jobs").json["items"] == []
    assert caller.get("/v1/batches").json["items"] == []


def test_same_key_is_the_same_batch(caller: Caller, studies: list[str]) -> None:
    document = {"study_ids": studies}
    first = caller.post_json("/v1/batches", document, headers={"Idempotency-Key": "K1"}).json

    again = caller.post_json("/v1/batches", document, headers={"Idempotency-Key": "K1"})
    other = caller.post_json(
        "/v1/batches", {"study_ids": studies[:1]}, headers={"Idempotency-Key": "K1"}
    )

    assert (again.status, again.json["id"]) == (202, first["id"])
    assert other.refusal == (422, "idempotency_conflict")
    assert first["id"] in other.json["detail"]


def test_same_key_at_once_is_the_same_batch(
    app: APIFlask, key: str, caller: Caller, studies: list[str]
) -> None:
    def send(_: int) -> str:
        answer = Caller(app.test_client(), key).post_json(
            "/v1/batches", {"study_ids": studies}, headers={"Idempotency-Key": "K1"}
        )
        batch_id: str = answer.json["id"]
        return batch_id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(send, range(8)))

    assert len(ids) == 1
    assert len(caller.get("/v1/jobs").json["items"]) == 3


def test_batches_that_meet_share_their_jobs(
    app: APIFlask, key: str, caller: Caller, studies: list[str]
) -> None:
    def send(turn: int) -> int:
        ordered = studies if turn % 2 else list(reversed(studies))
        total: int = submit(Caller(app.test_client(), key), ordered)["total"]
        return total

    with ThreadPoolExecutor(4) as pool:
        totals = list(pool.map(send, range(8)))

    assert totals == [3] * 8
    assert len(caller.get("/v1/jobs").json["items"]) == 3


def rows(sessions: Sessions, caller: Caller, batch: Any) -> list[JobRow]:
    ids = [UUID(job["id"]) for job in jobs_of(caller, batch)]
    with sessions.begin() as session:
        return [session.get_one(JobRow, job_id) for job_id in ids]


def test_status_counts_and_tells_how_much_is_done(
    caller: Caller, studies: list[str], sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id, network="ward@1.0.0")
    batch = submit(caller, studies)
    first, second, _ = rows(sessions, caller, batch)
    with sessions.begin() as session:
        fail_job(session, claim(session, first), "not_axial", "No.")
        report_progress(session, claim(session, second), Stage.SLICES, 1, 2, lease_s=60)
        half = job_for(session, tenant.id, second.id).fraction

    answer = caller.get(batch["links"]["self"])

    status = answer.json
    assert answer.headers["Retry-After"] == "5"
    counts = {state: count for state, count in status["jobs"].items() if count}
    assert counts == {"queued": 1, "running": 1, "failed": 1}
    assert status["fraction"] == pytest.approx((1 + half) / 3)
    assert status["finished"] is False
    assert status["eta_s"] is not None


def test_batch_is_finished_once_every_job_has_ended(
    caller: Caller, studies: list[str], sessions: Sessions
) -> None:
    batch = submit(caller, studies)
    with sessions.begin() as session:
        for job in rows(sessions, caller, batch):
            fail_job(session, claim(session, job), "not_axial", "No.")

    answer = caller.get(batch["links"]["self"])

    status = answer.json
    assert "Retry-After" not in answer.headers
    assert (status["finished"], status["fraction"], status["eta_s"]) == (True, 1.0, None)
    assert status["links"]["cancel"] is None


def test_uploads_by_every_way_join_an_open_batch(
    caller: Caller, pieces: Pieces, archive: bytes, other: bytes, batch: str, finished: str
) -> None:
    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]
    by_zip = caller.send(archive, query={"batch": batch})
    by_form = caller.send_form({"o.zip": other}, fields={"batch": batch, "priority": "stat"})
    address = pieces.begin(len(other), batch=batch, network="other")
    by_tus = pieces.patch(address, 0, other)
    kept = caller.post_json("/v1/jobs", {"study_id": study_id, "batch": batch, "network": "other"})

    status = caller.get(f"/v1/batches/{batch}").json

    assert (by_zip.json["id"], by_tus.status) == (finished, 204)
    joined = {job["id"] for job in caller.get("/v1/jobs", batch_id=batch).json["items"]}
    tus_job = by_tus.headers["Hilum-Job"].rpartition("/")[2]
    assert joined == {finished, by_form.json["id"], tus_job, kept.json["id"]}
    assert (status["total"], status["open"], status["finished"]) == (4, True, False)


def test_closed_batch_takes_no_study_and_nothing_of_it_is_kept(
    caller: Caller, archive: bytes, batch: str
) -> None:
    closed = caller.post_json(f"/v1/batches/{batch}/close", {})

    refused = caller.send(archive, query={"batch": batch})

    assert (closed.status, closed.json["open"], closed.json["finished"]) == (200, False, True)
    assert refused.refusal == (409, "batch_closed")
    assert caller.get("/v1/studies").json["items"] == []


def test_batch_of_nobody_or_of_another_hospital_is_unknown(
    caller: Caller, stranger: Caller, archive: bytes, batch: str
) -> None:
    nowhere = caller.send(archive, query={"batch": str(uuid4())})
    foreign = stranger.send(archive, query={"batch": batch})
    announced = Pieces(stranger).announce(9, batch=batch)

    refusals = {each.refusal for each in (nowhere, foreign, announced)}
    assert refusals == {(404, "unknown_batch")}
    assert caller.send(archive, query={"batch": "7"}).refusal == (422, "invalid_request")


def test_cancelled_batch_stops_what_has_not_ended(
    caller: Caller, studies: list[str], sessions: Sessions
) -> None:
    batch = submit(caller, studies)
    first, second, third = rows(sessions, caller, batch)
    with sessions.begin() as session:
        fail_job(session, claim(session, first), "not_axial", "No.")
        claim(session, second)

    answer = caller.delete(batch["links"]["self"])
    again = caller.delete(batch["links"]["self"])

    assert answer.status == again.status == 200
    states = {job["id"]: job["state"] for job in jobs_of(caller, batch)}
    assert states == {
        str(first.id): "failed",
        str(second.id): "running",
        str(third.id): "cancelled",
    }
    assert caller.get(f"/v1/jobs/{second.id}").json["cancel_requested"] is True
    assert answer.json["open"] is False


def test_batches_are_listed_newest_first_and_page_by_page(
    caller: Caller, stranger: Caller, studies: list[str]
) -> None:
    made = [submit(caller, studies[:count])["id"] for count in (1, 2, 3)]

    first = caller.get("/v1/batches", limit=2).json
    second = caller.get("/v1/batches", limit=2, cursor=first["next_cursor"]).json

    listed = [*first["items"], *second["items"]]
    assert [one["id"] for one in listed] == list(reversed(made))
    assert [one["total"] for one in listed] == [3, 2, 1]
    assert second["next_cursor"] is None
    assert stranger.get("/v1/batches").json["items"] == []
    assert caller.get("/v1/batches", format="csv").refusal == (422, "invalid_request")


def test_quota_counts_the_new_jobs_of_a_batch_alone(
    caller: Caller, studies: list[str], sessions: Sessions, tenant: TenantRow
) -> None:
    caller.post_json("/v1/jobs", {"study_id": studies[0]})
    with sessions.begin() as session:
        set_quota(session, tenant.name, Quota(jobs=2))

    refused = caller.post_json("/v1/batches", {"study_ids": studies})

    assert refused.refusal == (429, "too_many_jobs")
    assert "1 jobs wait or run and 2 would come" in refused.json["detail"]
    assert submit(caller, studies[:2])["total"] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"study_ids": ["x"]},
        {"study_ids": None},
        {"study_ids": [str(uuid4())] * 1001},
        {"label": ""},
        {"label": "x" * 201},
        {"studies": []},
        {"network": "resnet9000"},
    ],
)
def test_malformed_batch_is_refused(caller: Caller, wrong: dict[str, Any]) -> None:
    answer = caller.post_json("/v1/batches", wrong)

    assert answer.status == 422
    assert answer.json["detail"]


def test_largest_batch_is_taken_by_one_call(
    caller: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        studies = [str(keep_study(session, tenant.id).id) for _ in range(1000)]

    batch = submit(caller, studies)

    assert (batch["total"], batch["jobs"]["queued"]) == (1000, 1000)
