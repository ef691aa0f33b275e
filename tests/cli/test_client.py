import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from cli import client as client_module
from cli.client import Client, Order, error_of
from cli.packing import Parcel
from db.changes import cancel_job
from db.session import Sessions
from db.tables import TenantRow
from hilum.errors import (
    HilumError,
    InputError,
    NoDicom,
    ServerUnreachable,
    StorageFull,
    TransientError,
    UnknownJob,
    WrongKey,
)
from tests.cli.conftest import Server


def ignore(_sent: int, _total: int) -> None:
    """Follow nothing."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TRIES", 1)


def test_a_folder_is_sent_and_answered_with_a_queued_job(client: Client, small_study: Path) -> None:
    order = Order(network="resnet50", priority="stat")

    job = client.send_study(Parcel.of(small_study), order, ignore)

    assert (job["state"], job["priority"]) == ("queued", "stat")
    assert job["network"].startswith("resnet50@")
    assert job["slices"]["total"] == 12


def test_the_same_study_as_folder_and_as_zip_is_the_same_job(
    client: Client, small_study: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for file in small_study.iterdir():
            target.write(file, file.name)

    first = client.send_study(Parcel.of(small_study), Order(), ignore)
    second = client.send_study(Parcel.of(archive), Order(), ignore)

    assert first["id"] == second["id"]


def test_a_refusal_comes_back_as_the_error_it_is_in_the_library(
    client: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "letters"
    folder.mkdir()
    (folder / "letter.txt").write_text("Dear colleague")

    with pytest.raises(NoDicom, match="1 file"):
        client.send_study(Parcel.of(folder), Order(), ignore)


def test_an_unknown_job_and_a_wrong_key_are_told_apart(server: Server, client: Client) -> None:
    stranger = Client(server.url, "hilum_nonsense")

    with pytest.raises(UnknownJob):
        client.get(f"/v1/jobs/{uuid4()}")
    with pytest.raises(WrongKey):
        stranger.get("/v1/jobs")
    stranger.close()


@pytest.mark.usefixtures("hasty")
def test_a_server_that_is_not_there_is_named() -> None:
    nobody = Client("http://127.0.0.1:9", "hilum_key")

    with pytest.raises(ServerUnreachable, match=r"http://127\.0\.0\.1:9/v1/jobs does not answer"):
        nobody.get("/v1/jobs")
    nobody.close()


def test_a_job_is_looked_at_until_it_has_ended(
    client: Client, small_study: Path, sessions: Sessions, tenant: TenantRow
) -> None:
    job = client.send_study(Parcel.of(small_study), Order(), ignore)
    states = []

    for look in client.jobs(job["id"]):
        states.append(look["state"])
        if len(states) == 1:
            with sessions.begin() as session:
                cancel_job(session, tenant.id, UUID(job["id"]))

    assert states == ["queued", "cancelled"]


def test_a_job_is_followed_by_its_stream_until_it_has_ended(
    client: Client, small_study: Path, sessions: Sessions, tenant: TenantRow
) -> None:
    job = client.send_study(Parcel.of(small_study), Order(), ignore)
    states = []

    for look in client.follow(job["id"]):
        states.append(look["state"])
        if len(states) == 1:
            with sessions.begin() as session:
                cancel_job(session, tenant.id, UUID(job["id"]))

    assert states == ["queued", "cancelled"]


def test_a_job_is_asked_for_where_there_is_no_stream_to_spare(
    server: Server, client: Client, small_study: Path, sessions: Sessions, tenant: TenantRow
) -> None:
    job = client.send_study(Parcel.of(small_study), Order(), ignore)
    with sessions.begin() as session:
        cancel_job(session, tenant.id, UUID(job["id"]))
    held = [server.streams.listen(uuid4()) for _ in range(32)]

    states = [look["state"] for look in client.follow(job["id"])]

    assert states == ["cancelled"]
    for listener in held:
        server.streams.leave(listener)


def test_a_stream_that_breaks_off_is_opened_again(
    client: Client, small_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = client.send_study(Parcel.of(small_study), Order(), ignore)
    opened: list[str] = []

    def broken(job_id: str) -> Iterator[Mapping[str, Any]]:
        opened.append(job_id)
        yield job | {"state": "running" if len(opened) < 3 else "succeeded"}
        raise ServerUnreachable

    monkeypatch.setattr(client, "_streamed", broken)
    monkeypatch.setattr(client_module, "TRIES", 2)

    states = [look["state"] for look in client.follow(job["id"])]

    assert states == ["running", "running", "succeeded"]


def test_an_unknown_job_is_not_followed(client: Client) -> None:
    with pytest.raises(UnknownJob):
        list(client.follow(str(uuid4())))


def test_a_download_that_fails_leaves_no_file(client: Client, tmp_path: Path) -> None:
    target = tmp_path / "saved" / "montage.png"
    target.parent.mkdir()

    with pytest.raises(UnknownJob):
        client.download(f"/v1/reports/{uuid4()}/montage.png", target)

    assert list(target.parent.iterdir()) == []


def answer(status: int, **content: object) -> httpx.Response:
    request = httpx.Request("GET", "http://hilum.example/v1/jobs")
    return httpx.Response(status, request=request, json=content or None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (answer(507, code="storage_full", detail="Full."), StorageFull),
        (answer(422, code="of_a_later_version", detail="New."), InputError),
        (answer(503, code="of_a_later_version", detail="New."), TransientError),
        (answer(502), TransientError),
        (answer(404), InputError),
    ],
)
def test_every_answer_becomes_an_error_of_the_right_family(
    given: httpx.Response, expected: type[HilumError]
) -> None:
    assert type(error_of(given)) is expected
