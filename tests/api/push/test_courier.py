import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from pydicom import dcmread
from sqlalchemy import text

from api.parts import Parts
from api.push.courier import Courier
from db.destinations import add_destination
from db.session import Sessions
from db.tables import TenantRow
from hilum.catalogue import RESULTS
from hilum.destinations import Address, Dimse, Stow
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.api.push.archives import Archive, Scripted, Service, free_port, storescp
from tests.worker.processes import ROOT, environment, until

pytestmark = pytest.mark.usefixtures("scanners")


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[Archive]:
    with storescp(tmp_path / "pacs") as running:
        yield running


@pytest.fixture
def courier(parts: Parts) -> Courier:
    return Courier(parts)


def add(
    sessions: Sessions, tenant: TenantRow, name: str, to: Address, *, contents: Any = RESULTS
) -> None:
    with sessions.begin() as session:
        add_destination(session, tenant.name, name, to, contents=contents)


def ask(caller: Caller, job_id: str, **body: str) -> list[dict[str, Any]]:
    """Have a job sent again."""
    answer = caller.post_json(f"/v1/jobs/{job_id}/deliveries", body)
    assert answer.status == 202, answer.text
    items: list[dict[str, Any]] = answer.json["items"]
    return items


def look(caller: Caller, job_id: str) -> dict[str, dict[str, Any]]:
    """Where the deliveries of a job stand, by destination."""
    items = caller.get(f"/v1/jobs/{job_id}/deliveries").json["items"]
    return {one["destination"]: one for one in items}


def make_due(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(text("UPDATE deliveries SET due_at = now()"))


def test_results_reach_archives_of_both_kinds(
    pacs: Archive,
    courier: Courier,
    caller: Caller,
    finished: str,
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    service = Service(200, {})
    with service.running() as url:
        add(sessions, tenant, "pacs", pacs.address)
        add(sessions, tenant, "cloud", Stow(url))
        asked = ask(caller, finished)

        tries = [courier.deliver_one() for _ in range(3)]

    assert [one["state"] for one in asked] == ["waiting", "waiting"]
    assert tries == [True, True, False]
    found = look(caller, finished)
    assert {one["state"] for one in found.values()} == {"delivered"}
    assert {one["objects"] for one in found.values()} == {4}
    assert (len(pacs.objects), len(service.requests)) == (4, 1)
    events = caller.get(f"/v1/jobs/{finished}/events").json["items"]
    assert [one["event"] for one in events][-2:] == ["delivered", "delivered"]


def test_archive_gets_what_it_is_to_get(
    pacs: Archive,
    archive: bytes,
    courier: Courier,
    caller: Caller,
    finished: str,
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    add(sessions, tenant, "pacs", pacs.address, contents=("segmentation", "originals"))
    ask(caller, finished)

    courier.deliver_one()

    with ZipFile(io.BytesIO(archive)) as study:
        slices = {dcmread(study.open(name)).SOPInstanceUID for name in study.namelist()}
    received = pacs.objects
    assert {one.SOPInstanceUID for one in received if one.Modality == "CT"} == slices
    assert [one.Modality for one in received if one.Modality != "CT"] == ["SEG"]


def test_archive_that_is_away_gets_it_when_it_is_back(
    courier: Courier,
    caller: Caller,
    finished: str,
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    archive = Scripted([0xA700, 0x0000])
    with archive.running() as address:
        add(sessions, tenant, "pacs", address)
        ask(caller, finished)
        courier.deliver_one()
        [waiting] = look(caller, finished).values()

        assert not courier.deliver_one()
        make_due(sessions)
        courier.deliver_one()

    assert (waiting["state"], waiting["attempts"]) == ("waiting", 1)
    assert "with status 0xA700" in waiting["error"]
    assert waiting["due_at"] is not None
    [done] = look(caller, finished).values()
    assert (done["state"], done["attempts"], done["error"]) == ("delivered", 2, None)
    assert done["due_at"] is None


def test_file_that_is_gone_leaves_the_delivery_for_later(
    pacs: Archive,
    courier: Courier,
    caller: Caller,
    finished: str,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    add(sessions, tenant, "pacs", pacs.address)
    ask(caller, finished)
    parts.store.delete(f"{finished}/segmentation")

    courier.deliver_one()

    [waiting] = look(caller, finished).values()
    assert (waiting["state"], pacs.objects) == ("waiting", [])
    assert "cannot be read any more" in waiting["error"]


def test_threads_deliver_by_themselves_and_stop_when_told(
    pacs: Archive,
    parts: Parts,
    caller: Caller,
    finished: str,
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    away = Dimse("PACS", "127.0.0.1", free_port())
    add(sessions, tenant, "away", away)
    add(sessions, tenant, "pacs", pacs.address)
    ask(caller, finished)
    crew = Courier(parts).crew()
    crew.start()

    until(lambda: {one["attempts"] for one in look(caller, finished).values()} == {1})
    until(lambda: look(caller, finished)["pacs"]["state"] == "delivered")
    crew.stop()

    assert look(caller, finished)["away"]["state"] == "waiting"


def test_one_archive_of_several_gets_it_again(
    courier: Courier, caller: Caller, finished: str, sessions: Sessions, tenant: TenantRow
) -> None:
    first, second = Scripted([0x0000]), Scripted([0x0000])
    with first.running() as one, second.running() as other:
        add(sessions, tenant, "first", one)
        add(sessions, tenant, "second", other)
        ask(caller, finished)
        while courier.deliver_one():
            pass

        ask(caller, finished, destination="second")
        while courier.deliver_one():
            pass

    assert (len(first.received), len(second.received)) == (4, 8)


def test_asking_for_what_cannot_be_sent_is_refused(
    caller: Caller, stranger: Caller, finished: str
) -> None:
    path = f"/v1/jobs/{finished}/deliveries"
    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]
    order = {"study_id": study_id, "network": "other"}
    waiting = caller.post_json("/v1/jobs", order).json["id"]

    assert caller.post_json(path, {}).refusal == (404, "unknown_destination")
    assert caller.post_json(path, {"destination": "x"}).refusal == (404, "unknown_destination")
    assert caller.post_json(path, {"destination": ""}).refusal == (422, "invalid_request")
    assert caller.post_json(path, {"to": "x"}).refusal == (422, "invalid_request")
    assert stranger.post_json(path, {}).refusal == (404, "unknown_job")
    assert stranger.get(path).refusal == (404, "unknown_job")
    assert caller.post_json(f"/v1/jobs/{waiting}/deliveries", {}).refusal == (
        409,
        "report_not_ready",
    )
    assert caller.get(path).json == {"items": []}


@contextmanager
def courier_process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run `hilum courier` until the block ends."""
    command = [sys.executable, "-m", "cli", "courier"]
    with subprocess.Popen(command, env=os.environ | environment(settings), cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_killed_courier_loses_nothing_and_a_stopped_one_ends_its_study(
    settings: Settings,
    caller: Caller,
    finished: str,
    sessions: Sessions,
    tenant: TenantRow,
) -> None:
    going_on = threading.Event()
    archive = Scripted([0x0000], going_on=going_on)
    with archive.running() as address:
        add(sessions, tenant, "pacs", address)
        ask(caller, finished)
        with courier_process(settings) as killed:
            until(lambda: archive.received)
            killed.kill()
        with sessions.begin() as session:
            session.execute(text("UPDATE deliveries SET due_at = now()"))
        with courier_process(settings) as stopped:
            until(lambda: len(archive.received) == 2)
            stopped.terminate()
            going_on.set()
            assert stopped.wait(60) == 0

    [done] = look(caller, finished).values()
    assert (done["state"], done["attempts"], done["objects"]) == ("delivered", 2, 4)
    assert len(archive.received) == 5
