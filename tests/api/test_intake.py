"""The one way in, where several come at once and where things break half-way."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from apiflask import APIFlask
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from api import create_app, intake
from api.intake import take_in
from api.orders import Order
from api.parts import EXTENSION, Parts
from api.spool import SpooledFile, spooled
from db.session import Sessions
from db.tables import JobRow, StudyRow, TenantRow
from hilum.dicom.uids import as_name
from hilum.errors import StorageFull
from hilum.jobs import Priority, State
from hilum.settings import Settings
from hilum.storage import StoredFile, StudyStore
from tests.api.caller import Answer, Caller
from tests.phantoms import SLICES, chest, repeated, write, write_chest


@pytest.fixture
def files(tmp_path: Path) -> list[SpooledFile]:
    return [spooled(path) for path in write_chest(tmp_path / "arrived").iterdir()]


@pytest.fixture
def order(tenant: TenantRow, settings: Settings) -> Order:
    return Order(
        tenant_id=tenant.id,
        pipeline="ct-lesions",
        network_asked="ward",
        priority=Priority.ROUTINE,
        callback_url=None,
        idempotency_key=None,
        settings=settings,
    )


def count(sessions: Sessions, table: type) -> int:
    with sessions.begin() as session:
        return session.scalars(select(func.count()).select_from(table)).one()


def kept_files(settings: Settings) -> list[Path]:
    store = Path(settings.storage_url.removeprefix("file://"))
    return [path for path in store.rglob("*") if path.is_file()]


def test_uploads_of_one_study_at_once_make_one_job_and_one_copy(
    app: APIFlask, key: str, archive: bytes, sessions: Sessions, settings: Settings
) -> None:
    def send(_number: int) -> Answer:
        return Caller(app.test_client(), key).send(archive)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))

    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 1
    assert (count(sessions, StudyRow), count(sessions, JobRow)) == (1, 1)
    assert len(kept_files(settings)) == SLICES


def test_one_idempotency_key_at_once_makes_one_job(
    app: APIFlask, key: str, archive: bytes, sessions: Sessions
) -> None:
    def send(_number: int) -> Answer:
        return Caller(app.test_client(), key).send(archive, headers={"Idempotency-Key": "one"})

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))

    assert {answer.status for answer in answers} == {202}
    assert count(sessions, JobRow) == 1


def test_content_is_told_by_its_instances_alone(files: list[SpooledFile], tmp_path: Path) -> None:
    junk = tmp_path / "readme.txt"
    junk.write_text("not DICOM")

    plain = intake._look_at(files)
    shuffled = intake._look_at([spooled(junk), *reversed(files)])

    assert plain.content_sha256 == shuffled.content_sha256
    assert len(shuffled.files) == SLICES


def test_instance_sent_twice_is_kept_once(tmp_path: Path, files: list[SpooledFile]) -> None:
    twice = write(tmp_path / "twice", repeated(chest().datasets(), 3))

    arrival = intake._look_at([spooled(path) for path in twice.iterdir()])

    assert len(arrival.files) == SLICES
    assert arrival.content_sha256 == intake._look_at(files).content_sha256


def test_disk_that_fills_up_half_way_leaves_nothing_behind(
    parts: Parts,
    order: Order,
    files: list[SpooledFile],
    sessions: Sessions,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put, left = StudyStore.put, iter(range(5))

    def put_until_full(store: StudyStore, source: BinaryIO, key: str) -> StoredFile:
        if next(left, None) is None:
            raise StorageFull("The disk has 0 MiB free, this needs 16 MiB.")
        return put(store, source, key)

    monkeypatch.setattr(StudyStore, "put", put_until_full)

    with pytest.raises(StorageFull):
        take_in(files, order, parts)

    assert not kept_files(settings)
    assert count(sessions, StudyRow) == 0


def test_files_stay_where_a_commit_may_have_been_heard(
    parts: Parts,
    order: Order,
    files: list[SpooledFile],
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose_connection(*_arguments: object) -> None:
        raise OperationalError("COMMIT", {}, ConnectionError())

    monkeypatch.setattr(intake, "submit", lose_connection)

    with pytest.raises(OperationalError):
        take_in(files, order, parts)

    assert len(kept_files(settings)) == SLICES


def test_job_is_kept_where_no_broker_hears_of_it(
    settings: Settings, key: str, archive: bytes, sessions: Sessions
) -> None:
    app = create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))

    answer = Caller(app.test_client(), key).send(archive)

    assert answer.status == 202
    with sessions.begin() as session:
        assert session.scalars(select(JobRow)).one().state is State.QUEUED
    app.extensions[EXTENSION].close()


@pytest.mark.parametrize("uid", ["..", ".", "", "../../x", "1.2/3", "1.2.3\n", "a", "1" * 80])
def test_uid_that_could_lead_elsewhere_names_no_folder(uid: str) -> None:
    name = as_name(uid)

    assert name.startswith("odd-")
    assert "/" not in name


@pytest.mark.parametrize("uid", ["1.2.840.10008.1", "2.25.7", "1.2.3.0123456789ab"])
def test_plain_uid_names_its_folder(uid: str) -> None:
    assert as_name(uid) == uid
