"""What names the patient stays in the study: every log, message, error and queue is searched."""

import io
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID
from zipfile import ZipFile

import pydicom
import pytest
import redis
from apiflask import APIFlask
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pynetdicom import AE
from sqlalchemy import select

from api import create_app
from api.dimse import Scp
from api.gatherer import Gatherer
from api.parts import EXTENSION, Parts
from api.push.courier import Courier
from api.push.notifier import Notifier
from db.deliveries import send_again
from db.destinations import add_destination
from db.session import Sessions
from db.tables import DeliveryRow, JobEventRow, JobRow, NoticeRow, TenantRow
from db.tenants import new_key
from db.titles import add_title
from db.webhooks import add_webhook
from hilum.destinations import CONTENTS, Stow
from hilum.jobs import State
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.api.push.archives import Scripted, Service
from tests.phantoms import chest, missing, truncated, without, zipped
from tests.worker.pipelines import quick
from tests.worker.turns import run_now
from worker.bench import Bench

pytestmark = pytest.mark.usefixtures("scanners")

PLANTED = {
    "PatientName": "Plantedname^Anna",
    "PatientID": "PLANTEDID77",
    "PatientBirthDate": "19470311",
    "AccessionNumber": "PLANTEDACC",
    "ReferringPhysicianName": "Plantedreferrer",
    "InstitutionName": "Planted Clinic",
    "OtherPatientIDs": "PLANTEDOTHER",
    "PatientComments": "Plantedcomment",
    "StudyDescription": "Chest of Plantedname",
}
SENT = 4
NEEDLES = ("planted", "19470311")


def planted(datasets: Sequence[Dataset]) -> list[Dataset]:
    for dataset in datasets:
        for keyword, value in PLANTED.items():
            setattr(dataset, keyword, value)
    return list(datasets)


def babbling(keyword: str) -> Callable[[Sequence[Dataset]], list[Dataset]]:
    """Write a name where a number belongs, as broken headers do."""

    def change(datasets: Sequence[Dataset]) -> list[Dataset]:
        for dataset in datasets:
            tag = Tag(keyword)
            raw = RawDataElement(tag, "DS", 12, b"Plantedname ", 0, False, True)
            dataset._dict[tag] = raw
        return list(datasets)

    return change


KINDS: dict[str, Callable[[Sequence[Dataset]], list[Dataset]]] = {
    "sound": list,
    "with a gap": lambda ones: missing(ones, [9, 10]),
    "cut short": lambda ones: truncated(ones, 5),
    "without rescale": lambda ones: without(ones, "RescaleSlope"),
    "without modality": lambda ones: without(ones, "Modality"),
    "a name for a spacing": babbling("PixelSpacing"),
    "a name for a slope": babbling("RescaleSlope"),
    "a name for a place": babbling("ImagePositionPatient"),
    "a name for a number": babbling("InstanceNumber"),
}


@pytest.fixture
def app(settings: Settings, site: Path) -> APIFlask:
    ward = {"weights": str(site), "network": "ward", "study_quiet_s": 0.0, "log_level": "DEBUG"}
    return create_app(settings.model_copy(update=ward))


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_of_the_patient_leaves_the_study(
    kind: str,
    app: APIFlask,
    sessions: Sessions,
    tenant: TenantRow,
    store: StudyStore,
    redis_url: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    parts: Parts = app.extensions[EXTENSION]
    archive = zipped(tmp_path / "study.zip", KINDS[kind](planted(chest().datasets())))
    with sessions.begin() as session:
        caller = Caller(app.test_client(), new_key(session, tenant.name, "ward"))
        add_title(session, "HILUM", tenant.name, order={})
        add_webhook(session, tenant.id, "http://127.0.0.1:9/hook")

    said = [caller.send(archive.read_bytes()).text]
    said += _by_stow(caller, archive)
    _by_c_store(parts, archive)
    said.append(json.dumps(_queue(redis_url)))
    said += _run_all(sessions, store, parts.settings)
    said += _deliver_all(sessions, parts, tenant)
    said += _tell_all(sessions, parts)
    said += [caller.get(f"/v1/jobs/{job.id}").text for job in _jobs(sessions)]

    parts.close()
    everything = "\n".join([*said, caplog.text, *capsys.readouterr()]).lower()
    assert "study_uid" in everything
    # What is searched is not empty.
    assert kind != "sound" or {"delivery.done", "delivery.postponed"} <= set(everything.split())
    assert "notice.postponed" in everything
    assert [needle for needle in NEEDLES if needle in everything] == []


def _by_stow(caller: Caller, archive: Path) -> list[str]:
    answers = []
    for file in _files(archive):
        body = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--edge--\r\n"
        response = caller.client.post(
            "/dicom-web/studies",
            data=body,
            content_type='multipart/related; type="application/dicom"; boundary=edge',
            headers=caller.headers(),
        )
        answers.append(response.get_data(as_text=True))
    return answers


def _by_c_store(parts: Parts, archive: Path) -> None:
    server = Scp(parts).listen("127.0.0.1", 0)
    entity = AE("CT01")
    first = pydicom.dcmread(io.BytesIO(_files(archive)[0]))
    entity.add_requested_context(first.SOPClassUID, first.file_meta.TransferSyntaxUID)
    association = entity.associate(*server.server_address[:2], ae_title="HILUM")
    for number, file in enumerate(_files(archive)):
        association.send_c_store(_readdressed(file, number))
    association.release()
    server.shutdown()
    Gatherer(parts).gather()


def _readdressed(file: bytes, number: int) -> Dataset:
    """The same slice in another study, or it would be the one that came before."""
    dataset = pydicom.dcmread(io.BytesIO(file))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.77", "2.25.78"
    dataset.SOPInstanceUID = f"2.25.79.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _files(archive: Path) -> list[bytes]:
    """The first slices of a study: the rest would only take longer."""
    with ZipFile(archive) as opened:
        return [opened.read(name) for name in opened.namelist()[:SENT]]


def _queue(url: str) -> dict[str, str]:
    """Everything that Redis holds, as text."""
    with redis.Redis.from_url(url) as client:
        names = [name.decode() for name in client.scan_iter()]
        return {name: str(client.dump(name)) for name in names}


def _jobs(sessions: Sessions) -> list[JobRow]:
    with sessions.begin() as session:
        return list(session.scalars(select(JobRow)))


def _deliver_all(sessions: Sessions, parts: Parts, tenant: TenantRow) -> list[str]:
    """Send every result to an archive that takes it and to two that do not."""
    refusal = {"00081198": {"vr": "SQ", "Value": [{}]}}
    with (
        Scripted([0x0000]).running() as pacs,
        Scripted([0xC000]).running() as full,
        Service(409, refusal).running() as url,
    ):
        with sessions.begin() as session:
            for name, address in (("pacs", pacs), ("full", full), ("cloud", Stow(url))):
                add_destination(session, tenant.name, name, address, contents=CONTENTS)
            for job in session.scalars(select(JobRow).where(JobRow.state == State.SUCCEEDED)):
                send_again(session, job)
        courier = Courier(parts)
        while courier.deliver_one():
            pass
    with sessions.begin() as session:
        rows = session.scalars(select(DeliveryRow)).all()
        return [f"{row.state} {row.error} {row.deidentification}" for row in rows]


def _tell_all(sessions: Sessions, parts: Parts) -> list[str]:
    """Have a server told how every job ended, which is not there."""
    notifier = Notifier(parts)
    while notifier.tell_one():
        pass
    with sessions.begin() as session:
        rows = session.scalars(select(NoticeRow)).all()
        return [f"{row.state} {row.error} {row.body}" for row in rows]


def _run_all(sessions: Sessions, store: StudyStore, settings: Settings) -> list[str]:
    bench = Bench(sessions, store, lambda name: name, settings, quick)  # type: ignore[arg-type, return-value] # this pipeline needs no network
    for job in _jobs(sessions):
        run_now(UUID(str(job.id)), bench)
    with sessions.begin() as session:
        told = [str((row.event, row.detail)) for row in session.scalars(select(JobEventRow))]
        return told + [f"{job.error_code} {job.error_message}" for job in _jobs(sessions)]
