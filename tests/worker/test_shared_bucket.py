"""Web server, two workers and courier with one bucket between them, and nothing else in common."""

import gzip
import io
import json
import os
import signal
from collections.abc import Iterator
from subprocess import Popen
from uuid import UUID
from zipfile import ZipFile

import pytest
from apiflask import APIFlask
from pydicom import dcmread
from sqlalchemy import select

from api import create_app
from api.parts import EXTENSION, Parts
from api.push.courier import Courier
from db.destinations import add_destination
from db.jobs import job_events
from db.session import Sessions
from db.tables import ArtifactRow, JobRow, TenantRow
from db.tenants import new_key
from hilum.catalogue import RESULTS
from hilum.destinations import Stow
from hilum.jobs import State
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.api.push.archives import Service
from tests.buckets import Server, lead_to_bucket, objects_in, s3
from tests.networks import import_untrained, write_untrained
from tests.phantoms import zip_chest
from tests.worker.processes import celery_worker, children, until
from worker.celery import make_app
from worker.doorbell import Doorbell
from worker.upkeep import ring_again, sweep, take_back

__all__ = ["s3"]

WRITE_S = 0.3
"""What a worker here waits before it writes a file: time enough to kill it in between."""


@pytest.fixture(scope="module")
def shared(
    s3: Server, postgres_url: str, valkey_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Settings]:
    """Settings of an installation in a bucket; its networks bear the names of what they do."""
    folder = tmp_path_factory.mktemp("networks")
    source = write_untrained(folder / "maskrcnn-untrained.safetensors")
    for name in ("quick", "slow"):
        import_untrained(source, folder / "site", name=name)
    with pytest.MonkeyPatch.context() as patch:
        yield Settings(
            database_url=postgres_url,
            redis_url=valkey_url.removesuffix("0") + "3",
            storage_url=lead_to_bucket(s3, patch),
            secret_key="0123456789abcdef0123456789abcdef",
            spool_dir=folder / "spool",
            weights=str(folder / "site"),
            network="quick",
            device="cpu",
            threads=1,
            min_free_mb=16,
            # Longer than a busy machine keeps from running the thread that renews it.
            lease_s=8,
        )


@pytest.fixture(scope="module")
def workers(
    shared: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Popen[bytes]]]:
    """Two workers, each with a disk of its own."""
    folder = tmp_path_factory.mktemp("workers")
    first, second = (
        shared.model_copy(update={"spool_dir": folder / f"spool{number}"}) for number in (1, 2)
    )
    slowly = {"WRITE_S": str(WRITE_S)}
    with (
        celery_worker(first, folder / "1.log", "--hostname", "1@%h", extra=slowly) as one,
        celery_worker(second, folder / "2.log", "--hostname", "2@%h", extra=slowly) as two,
    ):
        yield [one, two]


@pytest.fixture
def settings(shared: Settings, redis_url: str, sessions: Sessions) -> Settings:
    assert redis_url, sessions
    return shared


@pytest.fixture
def app(settings: Settings) -> Iterator[APIFlask]:
    app = create_app(settings)
    yield app
    app.extensions[EXTENSION].close()


@pytest.fixture
def parts(app: APIFlask) -> Parts:
    found: Parts = app.extensions[EXTENSION]
    return found


@pytest.fixture
def caller(app: APIFlask, sessions: Sessions, tenant: TenantRow) -> Caller:
    with sessions.begin() as session:
        return Caller(app.test_client(), new_key(session, tenant.name, "scanner"))


@pytest.fixture
def bell(settings: Settings) -> Iterator[Doorbell]:
    app = make_app(settings)
    yield Doorbell(app)
    app.close()


@pytest.fixture(scope="module")
def chest_zip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return zip_chest(tmp_path_factory.mktemp("archive") / "chest.zip").read_bytes()


def send(caller: Caller, study: bytes, *, network: str = "quick") -> UUID:
    answer = caller.send(study, query={"network": network})
    assert answer.status == 202, answer.text
    return UUID(answer.json["id"])


def reload(sessions: Sessions, job_id: UUID) -> JobRow:
    with sessions.begin() as session:
        return session.get_one(JobRow, job_id)


def finish(sessions: Sessions, bell: Doorbell, settings: Settings, job_id: UUID) -> JobRow:
    """Look after a job as the upkeep does until it has ended."""

    def is_over() -> bool:
        take_back(sessions, settings)
        ring_again(sessions, bell)
        return reload(sessions, job_id).is_final

    until(is_over, patience_s=180)
    return reload(sessions, job_id)


def is_tidy(sessions: Sessions, store: StudyStore, settings: Settings, job: JobRow) -> bool:
    """Sweep as the upkeep does; tell whether a job has no files but those that its rows name."""
    sweep(sessions, store, settings)
    return files_of(store, job) == known_files(sessions, job)


def files_of(store: StudyStore, job: JobRow) -> set[str]:
    prefix = f"{job.tenant_id}/jobs/{job.id}/"
    return {key for key in objects_in(store) if key.startswith(prefix)}


def known_files(sessions: Sessions, job: JobRow) -> set[str]:
    with sessions.begin() as session:
        return set(session.scalars(select(ArtifactRow.key).where(ArtifactRow.job_id == job.id)))


def child_of(workers: list[Popen[bytes]], job: JobRow) -> int:
    """Return the process that runs a job."""
    pid = int(str(job.worker).rpartition(":")[2])
    assert pid in {child for worker in workers for child in children(worker.pid)}
    return pid


@pytest.mark.usefixtures("workers")
def test_study_goes_its_whole_way_through_a_bucket(
    caller: Caller,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    bell: Doorbell,
    settings: Settings,
    chest_zip: bytes,
) -> None:
    archive = Service(200, {})
    with archive.running() as url:
        with sessions.begin() as session:
            contents = ("segmentation", "originals")
            add_destination(session, tenant.name, "cloud", Stow(url), contents=contents)
        job_id = send(caller, chest_zip)
        job = finish(sessions, bell, settings, job_id)
        delivered = Courier(parts).deliver_one()

    assert (job.state, job.error_message) == (State.SUCCEEDED, None)
    assert files_of(parts.store, job) == known_files(sessions, job)
    report = caller.get(f"/v1/reports/{job_id}")
    assert report.json["job_id"] == str(job_id)
    mask = caller.get(f"/v1/reports/{job_id}/masks/lesions.nii.gz")
    assert gzip.decompress(mask.data)[344:347] == b"n+1"
    montage = caller.get(f"/v1/reports/{job_id}/montage.png")
    assert montage.data.startswith(b"\x89PNG")
    segmentation = caller.get(f"/v1/reports/{job_id}/segmentation.dcm")
    assert dcmread(io.BytesIO(segmentation.data)).Modality == "SEG"
    assert delivered
    [(_, _, _, body)] = archive.requests
    with ZipFile(io.BytesIO(chest_zip)) as study:
        slices = len(study.namelist())
    assert body.count(b"Content-Type: application/dicom\r\n\r\n") == slices + 1
    check_dicomweb(caller, slices)


def check_dicomweb(caller: Caller, slices: int) -> None:
    """Find the study with its results, and fetch one of the results."""
    instances = json.loads(caller.get("/dicom-web/instances").data)
    series = json.loads(caller.get("/dicom-web/series").data)
    modalities = {one["00080060"]["Value"][0]: one for one in series}
    assert len(instances) == slices + len(RESULTS)
    assert {"CT", "SEG", "SR"} <= set(modalities)
    study_uid, uid = (modalities["SEG"][tag]["Value"][0] for tag in ("0020000D", "0020000E"))
    accept = {"Accept": 'multipart/related; type="application/dicom"'}
    answer = caller.get(f"/dicom-web/studies/{study_uid}/series/{uid}", headers=accept)
    assert answer.status == 200, answer.text
    assert answer.data.count(b"DICM") == 1


def test_worker_that_is_killed_between_two_files_leaves_none_of_them(
    workers: list[Popen[bytes]],
    caller: Caller,
    parts: Parts,
    sessions: Sessions,
    bell: Doorbell,
    settings: Settings,
    chest_zip: bytes,
) -> None:
    job_id = send(caller, chest_zip)
    until(lambda: files_of(parts.store, reload(sessions, job_id)), patience_s=120)
    begun = reload(sessions, job_id)
    orphans = files_of(parts.store, begun)
    # What the process would have left had it been in the midst of a large file.
    key = f"{next(iter(orphans)).rpartition('/')[0]}/large.nii.gz"
    parts.store.filesystem.call_s3(
        "create_multipart_upload",
        Bucket=parts.store.root.partition("/")[0],
        Key=f"{parts.store.root.partition('/')[2]}/{key}",
    )

    os.kill(child_of(workers, begun), signal.SIGKILL)
    job = finish(sessions, bell, settings, job_id)

    assert (job.state, job.attempts) == (State.SUCCEEDED, 2)
    until(lambda: is_tidy(sessions, parts.store, settings, job))
    assert not orphans & files_of(parts.store, job)


@pytest.mark.usefixtures("workers")
def test_bucket_that_is_away_for_a_moment_costs_an_attempt_and_no_job(
    caller: Caller,
    parts: Parts,
    sessions: Sessions,
    bell: Doorbell,
    settings: Settings,
    chest_zip: bytes,
    s3: Server,
) -> None:
    job_id = send(caller, chest_zip, network="slow")
    until(lambda: reload(sessions, job_id).stage == "slices", patience_s=120)
    s3.stop()
    try:
        until(lambda: reload(sessions, job_id).state is State.QUEUED, patience_s=120)
    finally:
        s3.start()

    job = finish(sessions, bell, settings, job_id)

    with sessions.begin() as session:
        reasons = [event.detail.get("reason", "") for event in job_events(session, job_id)]
    assert (job.state, job.attempts) == (State.SUCCEEDED, 2)
    assert any(reason.startswith("The store did not answer (") for reason in reasons)
    until(lambda: is_tidy(sessions, parts.store, settings, job))


def test_upload_while_the_bucket_is_away_is_refused_for_now_and_leaves_nothing(
    caller: Caller, parts: Parts, chest_zip: bytes, s3: Server
) -> None:
    before = objects_in(parts.store)
    s3.stop()

    try:
        answer = caller.send(chest_zip, query={"network": "quick"})
        ready = caller.get("/health/ready")
    finally:
        s3.start()

    assert answer.refusal == (503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "does not answer" in ready.text
    assert objects_in(parts.store) == before
    assert caller.send(chest_zip, query={"network": "quick"}).status == 202


def test_two_workers_share_the_work(
    workers: list[Popen[bytes]],
    caller: Caller,
    sessions: Sessions,
    bell: Doorbell,
    settings: Settings,
    chest_zip: bytes,
) -> None:
    first = send(caller, chest_zip, network="slow")
    second = send(caller, chest_zip, network="quick")

    jobs = [finish(sessions, bell, settings, job_id) for job_id in (first, second)]

    assert len(workers) == 2
    assert [job.state for job in jobs] == [State.SUCCEEDED] * 2
    assert len({job.worker for job in jobs}) == 2
