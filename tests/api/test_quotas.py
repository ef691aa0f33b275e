"""How much a hospital may have, and how long the queue may be, at every door."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pydicom
import pytest
from apiflask import APIFlask
from pynetdicom import AE
from sqlalchemy import select

from api import create_app, room
from api.dimse import Scp, Status
from api.gatherer import Gatherer
from api.parts import EXTENSION, Parts
from db.session import Sessions
from db.tables import JobRow, StudyRow, TenantRow, now
from db.tenants import Quota, set_quota
from db.titles import add_title
from hilum.jobs import Priority, State
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.api.pieces import Pieces
from tests.db.factories import queue_job
from tests.phantoms import healthy, write_chest, zip_chest

pytestmark = pytest.mark.usefixtures("scanners")

OLD_S = 600


@pytest.fixture
def other(tmp_path: Path) -> bytes:
    """Another chest CT as a zip."""
    return zip_chest(tmp_path / "other.zip", healthy()).read_bytes()


@pytest.fixture
def slices(tmp_path: Path) -> list[Path]:
    """The first slices of a study."""
    return sorted(write_chest(tmp_path / "slices").glob("*.dcm"))[:4]


@pytest.fixture
def wary(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[APIFlask]:
    """A server that takes urgent jobs alone once one has waited for a minute."""
    monkeypatch.setattr(room, "REMEMBER_S", 0.0)
    update = {"max_queue_age_s": 60, "study_quiet_s": 0.0}
    app = create_app(settings.model_copy(update=update))
    yield app
    app.extensions[EXTENSION].close()


@pytest.fixture
def wary_caller(wary: APIFlask, key: str) -> Caller:
    return Caller(wary.test_client(), key)


def limit(sessions: Sessions, tenant: TenantRow, quota: Quota) -> None:
    with sessions.begin() as session:
        set_quota(session, tenant.name, quota)


def age(sessions: Sessions, tenant: TenantRow) -> None:
    """Let a job of this hospital have waited for long."""
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        job.queued_at = now() - timedelta(seconds=OLD_S)


def count(sessions: Sessions, table: type[StudyRow | JobRow]) -> int:
    with sessions.begin() as session:
        return len(session.scalars(select(table)).all())


def files(settings: Settings) -> list[Path]:
    store = Path(settings.storage_url.removeprefix("file://"))
    return [path for path in store.rglob("*") if path.is_file()]


def stow(caller: Caller, slices: list[Path], **query: str) -> tuple[int, str | None]:
    body = b"".join(
        b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n"
        for path in slices
    )
    response = caller.client.post(
        "/dicom-web/studies",
        data=body + b"--edge--\r\n",
        query_string=query,
        content_type='multipart/related; type="application/dicom"; boundary=edge',
        headers=caller.headers(),
    )
    code = (response.get_json(silent=True, force=True) or {}).get("code")
    return response.status_code, code


def c_store(app: APIFlask, slices: list[Path], title: str = "HILUM") -> set[int]:
    server = Scp(app.extensions[EXTENSION]).listen("127.0.0.1", 0)
    entity = AE("CT01")
    entity.dimse_timeout = entity.acse_timeout = 120
    datasets = [pydicom.dcmread(path) for path in slices]
    entity.add_requested_context(datasets[0].SOPClassUID, datasets[0].file_meta.TransferSyntaxUID)
    association = entity.associate(*server.server_address[:2], ae_title=title)
    statuses = {association.send_c_store(one).Status for one in datasets}
    association.release()
    server.shutdown()
    return statuses


# ── Jobs ──────────────────────────────────────────────────────────────────────────────────────


def test_job_too_many_is_refused_and_its_study_not_kept(
    caller: Caller,
    archive: bytes,
    other: bytes,
    sessions: Sessions,
    tenant: TenantRow,
    settings: Settings,
) -> None:
    limit(sessions, tenant, Quota(jobs=1))
    first = caller.send(archive)
    kept = len(files(settings))

    refused = caller.send(other)

    assert first.status == 202
    assert refused.refusal == (429, "too_many_jobs")
    assert refused.json["detail"].startswith("1 jobs wait or run and 1 would come")
    assert int(refused.headers["Retry-After"]) > 0
    assert (count(sessions, StudyRow), len(files(settings))) == (1, kept)


def test_job_that_is_there_costs_no_quota(
    caller: Caller, archive: bytes, sessions: Sessions, tenant: TenantRow
) -> None:
    limit(sessions, tenant, Quota(jobs=1, bytes=10**9))
    first = caller.send(archive, headers={"Idempotency-Key": "K1"}).json
    limit(sessions, tenant, Quota(jobs=1, bytes=1))

    by_content, by_key = (caller.send(archive, headers=h) for h in ({}, {"Idempotency-Key": "K1"}))
    by_study = caller.post_json("/v1/jobs", {"study_id": first["study_id"]})

    assert {by_content.json["id"], by_key.json["id"], by_study.json["id"]} == {first["id"]}


def test_room_is_there_again_once_a_job_has_ended(
    caller: Caller, archive: bytes, other: bytes, sessions: Sessions, tenant: TenantRow
) -> None:
    limit(sessions, tenant, Quota(jobs=1))
    first = caller.send(archive).json["id"]
    assert caller.send(other).status == 429

    caller.delete(f"/v1/jobs/{first}")

    assert caller.send(other).status == 202


def test_quota_of_one_hospital_is_no_other_ones(
    stranger: Caller, archive: bytes, sessions: Sessions, tenant: TenantRow
) -> None:
    limit(sessions, tenant, Quota(jobs=1, bytes=1, requests=1))

    assert stranger.send(archive).status == 202
    assert stranger.get("/v1/jobs").status == 200


# ── Bytes ─────────────────────────────────────────────────────────────────────────────────────


def test_study_for_which_there_is_no_room_is_not_kept_by_any_door(
    app: APIFlask,
    caller: Caller,
    pieces: Pieces,
    archive: bytes,
    slices: list[Path],
    sessions: Sessions,
    tenant: TenantRow,
    settings: Settings,
) -> None:
    limit(sessions, tenant, Quota(bytes=1024))
    with sessions.begin() as session:
        add_title(session, "HILUM", tenant.name, order={})
    upload = pieces.begin(len(archive))

    by_zip, by_tus = caller.send(archive), pieces.patch(upload, 0, archive)

    assert by_zip.refusal == by_tus.refusal == (429, "too_many_bytes")
    assert "0.0 MiB are stored and" in by_zip.json["detail"]
    assert int(by_zip.headers["Retry-After"]) == 3600
    assert stow(caller, slices) == (429, "too_many_bytes")
    assert c_store(app, slices) == {Status.OUT_OF_RESOURCES}
    assert (count(sessions, StudyRow), files(settings)) == (0, [])
    parts: Parts = app.extensions[EXTENSION]
    assert list(parts.inbox.pending()) == []


def test_whole_upload_waits_for_room(
    caller: Caller, pieces: Pieces, archive: bytes, sessions: Sessions, tenant: TenantRow
) -> None:
    limit(sessions, tenant, Quota(bytes=1024))
    upload = pieces.begin(len(archive))
    pieces.patch(upload, 0, archive)
    assert caller.get(upload).json["state"] == "whole"

    limit(sessions, tenant, Quota())
    again = pieces.patch(upload, len(archive), b"")

    assert (again.status, "Hilum-Job" in again.headers) == (204, True)


def test_instances_that_were_taken_become_a_study_whatever_the_quota_is_then(
    wary: APIFlask,
    wary_caller: Caller,
    slices: list[Path],
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    parts: Parts = wary.extensions[EXTENSION]
    assert stow(wary_caller, slices) == (200, None)

    limit(sessions, tenant, Quota(bytes=1))
    Gatherer(parts).gather()

    assert (count(sessions, StudyRow), count(sessions, JobRow)) == (1, 1)


def test_instances_that_were_taken_wait_for_a_job_they_may_have(
    wary: APIFlask,
    wary_caller: Caller,
    slices: list[Path],
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    parts: Parts = wary.extensions[EXTENSION]
    stow(wary_caller, slices)
    with sessions.begin() as session:
        queue_job(session, tenant.id)
    limit(sessions, tenant, Quota(jobs=1))

    Gatherer(parts).gather()
    assert [study.count for study in parts.inbox.pending()] == [len(slices)]
    limit(sessions, tenant, Quota())
    Gatherer(parts).gather()

    assert list(parts.inbox.pending()) == []
    assert count(sessions, JobRow) == 2


# ── The age of the queue ──────────────────────────────────────────────────────────────────────


def test_old_queue_takes_urgent_studies_alone(
    wary_caller: Caller,
    archive: bytes,
    other: bytes,
    sessions: Sessions,
    tenant: TenantRow,
    settings: Settings,
) -> None:
    age(sessions, tenant)

    routine = wary_caller.send(other)
    nothing = files(settings)
    stat = wary_caller.send(archive, query={"priority": "stat"})

    assert routine.refusal == (503, "queue_overloaded")
    assert "expected at most 60 s" in routine.json["detail"]
    assert int(routine.headers["Retry-After"]) > 0
    assert nothing == []
    assert (stat.status, stat.json["priority"]) == (202, "stat")
    # What is there already is answered, however old the queue is.
    assert wary_caller.send(archive).json["id"] == stat.json["id"]


def test_old_queue_refuses_batches_and_more_runs(
    wary_caller: Caller, sessions: Sessions, tenant: TenantRow, finished: str
) -> None:
    age(sessions, tenant)
    study_id = wary_caller.get(f"/v1/jobs/{finished}").json["study_id"]
    order = {"study_ids": [study_id], "network": "other"}

    refused = wary_caller.post_json("/v1/batches", order)
    urgent = wary_caller.post_json("/v1/batches", order | {"priority": "stat"})
    rerun = wary_caller.post_json(f"/v1/jobs/{finished}/rerun", {"network": "ward@1.0.0"})

    assert refused.refusal == (503, "queue_overloaded")
    assert (urgent.status, urgent.json["total"]) == (202, 1)
    assert rerun.json["id"] == finished


def test_old_queue_takes_urgent_instances_alone(
    wary: APIFlask,
    wary_caller: Caller,
    slices: list[Path],
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    age(sessions, tenant)
    with sessions.begin() as session:
        add_title(session, "HILUM", tenant.name, order={})
        add_title(session, "HILUM_STAT", tenant.name, order={"priority": "stat"})

    assert stow(wary_caller, slices) == (503, "queue_overloaded")
    assert stow(wary_caller, slices, priority="stat") == (200, None)
    assert c_store(wary, slices) == {Status.OUT_OF_RESOURCES}
    assert c_store(wary, slices, "HILUM_STAT") == {Status.SUCCESS}


def test_instances_are_taken_while_the_database_is_away(
    settings: Settings, slices: list[Path], sessions: Sessions, tenant: TenantRow
) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://127.0.0.1:9/hilum"})
    parts = Parts.assemble(away)

    parts.room.check(tenant.id, Priority.ROUTINE, slices[0].stat().st_size)

    parts.close()
    assert count(sessions, JobRow) == 0


def test_queue_without_a_limit_may_be_as_old_as_it_is(
    caller: Caller, archive: bytes, sessions: Sessions, tenant: TenantRow
) -> None:
    age(sessions, tenant)

    answer = caller.send(archive)

    assert (answer.status, answer.json["state"]) == (202, State.QUEUED)
