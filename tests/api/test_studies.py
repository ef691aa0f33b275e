import base64
import hashlib
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from db.session import Sessions
from db.studies import instance_keys
from db.tables import JobRow, StudyRow
from hilum.jobs import State
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.phantoms import (
    SLICES,
    as_series,
    chest,
    healthy,
    localizer,
    write_chest,
    zip_chest,
    zipped,
)


def test_zip_is_answered_with_a_job_and_where_to_ask_for_it(caller: Caller, archive: bytes) -> None:
    answer = caller.send(archive)

    job = answer.json
    assert answer.status == 202
    assert answer.headers["Location"] == job["links"]["self"] == f"/v1/jobs/{job['id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert (job["state"], job["queue_position"]) == (State.QUEUED, 0)
    assert job["slices"] == {"done": 0, "total": SLICES}


def test_study_is_kept_byte_for_byte_under_its_uids(
    caller: Caller, archive: bytes, tmp_path: Path, sessions: Sessions, store: StudyStore
) -> None:
    sent = {path.read_bytes() for path in write_chest(tmp_path / "again").iterdir()}

    study_id = caller.send(archive).json["study_id"]

    with sessions.begin() as session:
        rows = instance_keys(session, study_id)
    kept = {store.open_file(row.key).read() for row in rows}
    assert kept == sent
    [study] = chest().datasets()[:1]
    assert all(f"/studies/{study.StudyInstanceUID}/{study_id}/" in row.key for row in rows)


def test_same_content_is_answered_with_the_same_job(caller: Caller, archive: bytes) -> None:
    first = caller.send(archive)

    second = caller.send(archive)

    assert second.status == 202
    assert second.json["id"] == first.json["id"]


def test_same_content_in_another_order_through_another_door_is_the_same_study(
    caller: Caller, archive: bytes, tmp_path: Path
) -> None:
    first = caller.send(archive).json
    paths = sorted(write_chest(tmp_path / "parts").iterdir(), reverse=True)

    second = caller.send_form({path.name: path.read_bytes() for path in paths}).json

    assert second["id"] == first["id"]


def test_same_content_with_another_network_is_another_job_of_the_same_study(
    caller: Caller, archive: bytes
) -> None:
    first = caller.send(archive, query={"network": "ward"}).json

    second = caller.send(archive, query={"network": "other"}).json

    assert second["id"] != first["id"]
    assert second["study_id"] == first["study_id"]


def test_same_content_after_the_pipeline_changed_is_another_job_of_the_same_study(
    caller: Caller, finished: str, archive: bytes, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        session.execute(update(JobRow).values(pipeline_version="0.9"))

    again = [
        caller.send(archive).json,
        caller.post_json("/v1/jobs", {"study_id": study_of(caller, finished)}).json,
    ]

    assert {job["state"] for job in again} == {State.QUEUED}
    assert {job["study_id"] for job in again} == {study_of(caller, finished)}
    assert len({job["id"] for job in again} | {finished}) == 2


def study_of(caller: Caller, job_id: str) -> str:
    study_id: str = caller.get(f"/v1/jobs/{job_id}").json["study_id"]
    return study_id


def test_same_content_of_another_hospital_is_a_study_of_its_own(
    caller: Caller, stranger: Caller, archive: bytes
) -> None:
    first = caller.send(archive).json

    second = stranger.send(archive).json

    assert second["study_id"] != first["study_id"]


def test_same_idempotency_key_is_answered_with_the_same_job_and_stores_nothing(
    caller: Caller, archive: bytes, tmp_path: Path, sessions: Sessions
) -> None:
    other = zip_chest(tmp_path / "other.zip", healthy()).read_bytes()
    first = caller.send(archive, headers={"Idempotency-Key": "order-7"})

    second = caller.send(other, headers={"Idempotency-Key": "order-7"})

    assert second.status == 202
    assert second.json["id"] == first.json["id"]
    with sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(StudyRow)) == 1


def test_idempotency_keys_of_two_hospitals_do_not_meet(
    caller: Caller, stranger: Caller, archive: bytes
) -> None:
    first = caller.send(archive, headers={"Idempotency-Key": "order-7"})

    second = stranger.send(archive, headers={"Idempotency-Key": "order-7"})

    assert second.json["id"] != first.json["id"]


@pytest.mark.parametrize("as_form", [False, True])
def test_idempotency_key_of_another_order_is_a_conflict(
    caller: Caller, archive: bytes, *, as_form: bool
) -> None:
    caller.send(archive, headers={"Idempotency-Key": "order-7"})

    if as_form:
        answer = caller.send_form(
            {"a.zip": archive},
            headers={"Idempotency-Key": "order-7"},
            fields={"network": "other"},
        )
    else:
        answer = caller.send(
            archive, headers={"Idempotency-Key": "order-7"}, query={"network": "other"}
        )

    assert answer.refusal == (422, "idempotency_conflict")


def test_order_is_taken_from_query_and_form_and_the_form_goes_first(
    caller: Caller, archive: bytes
) -> None:
    answer = caller.send_form(
        {"study.zip": archive}, fields={"priority": "stat", "network": "ward"}
    )

    assert (answer.json["priority"], answer.json["network"]) == ("stat", "ward@1.0.0")
    other = caller.send(archive, query={"priority": "bulk", "network": "other"})
    assert other.json["priority"] == "bulk"


def test_callback_address_is_kept_with_the_job(
    caller: Caller, archive: bytes, sessions: Sessions
) -> None:
    caller.send(archive, query={"callback_url": "https://93.184.216.34/hook"})

    with sessions.begin() as session:
        assert session.scalar(select(JobRow.callback_url)) == "https://93.184.216.34/hook"


def test_one_dicom_file_makes_a_job_that_will_say_what_it_lacks(
    caller: Caller, tmp_path: Path
) -> None:
    [path, *_] = write_chest(tmp_path / "parts").iterdir()

    answer = caller.send(path.read_bytes(), media_type="application/dicom")

    assert answer.status == 202
    assert answer.json["slices"]["total"] == 1


def test_right_digest_is_accepted(caller: Caller, archive: bytes) -> None:
    digest = base64.b64encode(hashlib.sha256(archive).digest()).decode()

    answer = caller.send(archive, headers={"Content-Digest": f"sha-256=:{digest}:"})

    assert answer.status == 202


def test_nothing_of_an_upload_stays_in_the_spool(
    caller: Caller, archive: bytes, settings: Settings
) -> None:
    caller.send(archive)
    caller.send(b"no zip")

    left = [path for path in settings.spool_dir.rglob("*") if path.is_file()]
    assert {path.suffix for path in left} == {".lock"}


def test_study_is_shown_with_its_series(caller: Caller, archive: bytes) -> None:
    link = caller.send(archive).json["links"]["study"]

    study = caller.get(link).json

    assert study["study_date"] == "2020-04-01"
    assert study["instance_count"] == SLICES
    [series] = study["series"]
    assert (series["modality"], series["kernel"]) == ("CT", "LUNG")
    assert caller.get(study["links"]["jobs"]).json["items"][0]["study_id"] == study["id"]


def test_each_series_shows_why_it_was_read_or_not(caller: Caller, tmp_path: Path) -> None:
    slices = chest().datasets()
    soft = as_series(slices, ConvolutionKernel="STANDARD")
    scout = localizer(slices)
    sent = zipped(tmp_path / "three.zip", [*slices, *soft, *scout]).read_bytes()

    study = caller.get(caller.send(sent).json["links"]["study"]).json

    found = {
        (series["kernel"], series["instance_count"]): series["sheet"] for series in study["series"]
    }
    assert found["LUNG", SLICES]["outcome"] == "chosen"
    assert found["LUNG", SLICES]["steps"]["slices"] == SLICES
    assert found["STANDARD", SLICES]["outcome"] == "accepted"
    assert "a lung kernel was preferred" in found["STANDARD", SLICES]["reason"]
    refused = found["LUNG", 1]
    assert (refused["outcome"], refused["code"]) == ("refused", "no_ct_series")


def test_a_study_that_no_pipeline_can_read_is_explained_all_the_same(
    caller: Caller, tmp_path: Path
) -> None:
    sent = zipped(tmp_path / "two.zip", chest().datasets()[:2]).read_bytes()

    [series] = caller.get(caller.send(sent).json["links"]["study"]).json["series"]

    assert (series["sheet"]["outcome"], series["sheet"]["code"]) == ("refused", "single_slice")
