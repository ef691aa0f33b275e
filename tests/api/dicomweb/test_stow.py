import io
import time
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from requests import Session as HTTPSession
from sqlalchemy import select

from api.gatherer import Gatherer
from api.inbox import _sync
from api.parts import Parts
from api.spool import SpooledFile, spooled
from db.session import Sessions
from db.tables import InstanceRow, JobRow, StudyRow, TenantRow
from hilum.errors import StorageFull
from hilum.settings import Settings
from tests.api.caller import Answer, Caller
from tests.api.server import running_server
from tests.phantoms import write_chest

RELATED = 'multipart/related; type="application/dicom"; boundary=edge'


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A study is complete at once: the tests gather when they want to."""
    return settings.model_copy(update={"study_quiet_s": 0.0})


@pytest.fixture(scope="session")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The files of a chest CT."""
    folder = tmp_path_factory.mktemp("slices")
    write_chest(folder)
    return [path.read_bytes() for path in sorted(folder.glob("*.dcm"))]


@pytest.fixture
def gatherer(parts: Parts) -> Gatherer:
    return Gatherer(parts)


def related(files: list[bytes], media_type: str = "application/dicom") -> bytes:
    parts = [b"--edge\r\nContent-Type: %s\r\n\r\n%s\r\n" % (media_type.encode(), f) for f in files]
    return b"".join([*parts, b"--edge--\r\n"])


def store(
    caller: Caller, body: bytes, *, path: str = "/dicom-web/studies", media_type: str = RELATED
) -> Answer:
    response = caller.client.post(
        path, data=body, content_type=media_type, headers=caller.headers()
    )
    return Answer.of(response)


def renamed(file: bytes, **changes: str) -> bytes:
    """The same file with other values."""
    dataset = pydicom.dcmread(io.BytesIO(file))
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def uid(file: bytes, level: str = "Study") -> str:
    return str(pydicom.dcmread(io.BytesIO(file))[f"{level}InstanceUID"].value)


def jobs(sessions: Sessions) -> list[JobRow]:
    with sessions.begin() as session:
        return list(session.scalars(select(JobRow).order_by(JobRow.created_at)))


def kept(sessions: Sessions) -> list[int]:
    """Instances of each upload, oldest first."""
    with sessions.begin() as session:
        rows = session.scalars(select(StudyRow).order_by(StudyRow.created_at))
        return [row.instance_count for row in rows]


def test_whole_study_is_stored_and_becomes_a_job(
    caller: Caller, slices: list[bytes], gatherer: Gatherer, sessions: Sessions
) -> None:
    answer = store(caller, related(slices))
    gatherer.gather()

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/dicom+json"
    document = Dataset.from_json(answer.json)
    assert len(document.ReferencedSOPSequence) == len(slices)
    assert document.RetrieveURL.endswith(f"/dicom-web/studies/{uid(slices[0])}")
    assert "FailedSOPSequence" not in document
    assert [job.slice_count for job in jobs(sessions)] == [len(slices)]


def test_same_study_by_zip_and_by_stow_is_one_job(
    caller: Caller,
    archive: bytes,
    slices: list[bytes],
    gatherer: Gatherer,
    sessions: Sessions,
) -> None:
    by_zip = caller.send(archive).json["id"]

    store(caller, related(slices[::-1]))
    gatherer.gather()

    assert [str(job.id) for job in jobs(sessions)] == [by_zip]


def test_late_instances_make_a_new_upload_of_the_whole_study(
    caller: Caller, slices: list[bytes], gatherer: Gatherer, sessions: Sessions
) -> None:
    store(caller, related(slices[:-2]))
    gatherer.gather()

    store(caller, related(slices[-2:]))
    gatherer.gather()

    assert kept(sessions) == [len(slices) - 2, len(slices)]
    assert len(jobs(sessions)) == 2


def test_instances_sent_again_change_nothing(
    caller: Caller, slices: list[bytes], gatherer: Gatherer, sessions: Sessions
) -> None:
    store(caller, related(slices))
    gatherer.gather()

    store(caller, related(slices[3:7]))
    gatherer.gather()

    assert kept(sessions) == [len(slices)]
    assert len(jobs(sessions)) == 1


def test_study_waits_until_nothing_more_comes(
    caller: Caller, slices: list[bytes], parts: Parts, sessions: Sessions
) -> None:
    patient = Parts.assemble(parts.settings.model_copy(update={"study_quiet_s": 3600.0}))
    store(caller, related(slices))

    Gatherer(patient).gather()

    assert jobs(sessions) == []
    patient.close()


def test_study_is_complete_at_its_number_of_instances(
    caller: Caller, slices: list[bytes], parts: Parts, sessions: Sessions
) -> None:
    counting = parts.settings.model_copy(
        update={"study_quiet_s": 3600.0, "study_instances": len(slices)}
    )
    patient = Parts.assemble(counting)

    store(caller, related(slices[:-1]))
    Gatherer(patient).gather()
    before = jobs(sessions)
    store(caller, related(slices[-1:]))
    Gatherer(patient).gather()

    assert before == []
    assert [job.slice_count for job in jobs(sessions)] == [len(slices)]
    patient.close()


def test_what_no_pipeline_reads_is_kept_without_a_job(
    caller: Caller, slices: list[bytes], gatherer: Gatherer, sessions: Sessions
) -> None:
    radiograph = renamed(slices[0], Modality="CR")

    answer = store(caller, related([radiograph]))
    gatherer.gather()

    assert answer.status == 200
    assert kept(sessions) == [1]
    assert jobs(sessions) == []


def test_study_waits_in_the_inbox_while_the_disk_is_full(
    caller: Caller, slices: list[bytes], parts: Parts, sessions: Sessions
) -> None:
    store(caller, related(slices))
    full = Parts.assemble(parts.settings.model_copy(update={"min_free_mb": 2**40}))

    Gatherer(full).gather()
    before = jobs(sessions)
    Gatherer(parts).gather()

    assert before == []
    assert [job.slice_count for job in jobs(sessions)] == [len(slices)]
    full.close()


def test_two_files_of_one_uid_are_both_kept(
    caller: Caller, slices: list[bytes], gatherer: Gatherer, sessions: Sessions
) -> None:
    store(caller, related(slices))
    gatherer.gather()

    store(caller, related([renamed(slices[0], ImageComments="other")]))
    gatherer.gather()

    assert kept(sessions) == [len(slices), len(slices) + 1]
    with sessions.begin() as session:
        of_uid = InstanceRow.sop_instance_uid.startswith(uid(slices[0], "SOP"))
        names = {row.sop_instance_uid for row in session.scalars(select(InstanceRow).where(of_uid))}
    assert len(names) == 2


def test_each_instance_is_answered_for(caller: Caller, slices: list[bytes]) -> None:
    other = renamed(slices[1], StudyInstanceUID="1.2.3")
    path = f"/dicom-web/studies/{uid(slices[0])}"

    answer = store(caller, related([slices[0], other, b"no DICOM at all"]), path=path)

    document = Dataset.from_json(answer.json)
    assert answer.status == 202
    [stored] = document.ReferencedSOPSequence
    assert stored.ReferencedSOPInstanceUID == uid(slices[0], "SOP")
    assert [one.FailureReason for one in document.FailedSOPSequence] == [0xC409, 0xC000]


@pytest.mark.parametrize("junk", [b"", b"no DICOM", b"\x00" * 132, b"\x00" * 128 + b"DICM"])
def test_nothing_but_junk_is_a_conflict(caller: Caller, junk: bytes, parts: Parts) -> None:
    answer = store(caller, related([junk]))

    assert answer.status == 409
    assert [one.FailureReason for one in Dataset.from_json(answer.json).FailedSOPSequence] == [
        0xC000
    ]
    assert list(parts.inbox.pending()) == []


@pytest.mark.parametrize(
    ("body", "media_type", "refusal"),
    [
        (b"", RELATED, (400, "empty_upload")),
        (b"--edge--\r\n", RELATED, (400, "empty_upload")),
        (b"--other\r\n\r\nx\r\n--other--", RELATED, (400, "invalid_request")),
        (b"--edge\r\n\r\nhalf of a fi", RELATED, (400, "incomplete_upload")),
        (b"x", "multipart/related", (400, "invalid_request")),
        (b"x", "application/dicom", (415, "unsupported_media_type")),
        (
            b"x",
            'multipart/related; type="application/dicom+json"; boundary=edge',
            (415, "unsupported_media_type"),
        ),
    ],
)
def test_malformed_body_is_refused_by_name(
    caller: Caller, body: bytes, media_type: str, refusal: tuple[int, str], parts: Parts
) -> None:
    assert store(caller, body, media_type=media_type).refusal == refusal
    assert list(parts.inbox.pending()) == []


def test_order_travels_with_the_study(
    caller: Caller, slices: list[bytes], gatherer: Gatherer, sessions: Sessions
) -> None:
    store(caller, related(slices), path="/dicom-web/studies?priority=stat&network=other")
    gatherer.gather()

    [job] = jobs(sessions)
    assert (job.priority, job.network) == ("stat", "other@1.0.0")


def test_order_that_cannot_be_met_is_refused_before_the_body(
    caller: Caller, slices: list[bytes]
) -> None:
    answer = store(caller, related(slices), path="/dicom-web/studies?network=resnet9000")

    assert answer.refusal == (422, "unknown_network")


def test_full_disk_is_said_in_the_words_of_http(
    caller: Caller, slices: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.body.Body._look", _full)

    assert store(caller, related(slices)).refusal == (507, "storage_full")


def _full(*_arguments: object) -> None:
    raise StorageFull("The disk has 1 MiB free, this needs 2 MiB.")


def test_files_of_two_hospitals_never_meet(
    caller: Caller,
    stranger: Caller,
    slices: list[bytes],
    gatherer: Gatherer,
    sessions: Sessions,
) -> None:
    store(caller, related(slices[:10]))
    store(stranger, related(slices[10:]))

    gatherer.gather()

    assert sorted(kept(sessions)) == sorted([10, len(slices) - 10])


def test_inbox_outlives_its_process(
    caller: Caller, slices: list[bytes], settings: Settings, sessions: Sessions
) -> None:
    store(caller, related(slices))

    next_one = Parts.assemble(settings)
    Gatherer(next_one).gather()

    assert [job.slice_count for job in jobs(sessions)] == [len(slices)]
    next_one.close()


def test_two_gatherers_take_a_study_once(
    caller: Caller, slices: list[bytes], parts: Parts, sessions: Sessions
) -> None:
    store(caller, related(slices))
    first, second = Gatherer(parts), Gatherer(parts)

    first.start()
    second.start()
    _wait_for(lambda: bool(jobs(sessions)))
    first.stop()
    second.stop()

    assert len(jobs(sessions)) == 1
    assert list(parts.inbox.pending()) == []


def test_file_that_comes_while_its_study_is_taken_stays(
    parts: Parts, tenant: TenantRow, slices: list[bytes], tmp_path: Path
) -> None:
    def file(number: int) -> SpooledFile:
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(slices[number])
        return spooled(path)

    parts.inbox.add(tenant.id, {}, [("1.2", file(0))])
    [study] = parts.inbox.pending()
    taken = study.files()
    parts.inbox.add(tenant.id, {}, [("1.2", file(1))])

    study.forget(taken)

    assert [one.count for one in parts.inbox.pending()] == [1]


def test_nothing_is_in_the_inbox_before_every_file_is_safe(
    caller: Caller, slices: list[bytes], parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    safe: list[tuple[Path, int]] = []

    def sync(path: Path) -> None:
        _sync(path)
        safe.append((path, len(list(parts.inbox.root.rglob("*.dcm")))))

    monkeypatch.setattr("api.inbox._sync", sync)

    answer = store(caller, related(slices))

    assert answer.status == 200
    files = [(path.name, moved) for path, moved in safe if path.name.startswith("part-")]
    assert files == [(f"part-{number}", 0) for number in range(1, len(slices) + 1)]
    folders = [path.name for path, moved in safe if moved == len(slices)]
    [place] = parts.inbox.root.glob("*/*")
    assert folders == [uid(slices[0]), place.name]


def test_end_between_writing_and_the_last_sync_leaves_nothing_in_the_inbox(
    caller: Caller,
    slices: list[bytes],
    parts: Parts,
    gatherer: Gatherer,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def sync(path: Path) -> None:
        if path.name == f"part-{len(slices)}":
            raise SystemExit
        _sync(path)

    with monkeypatch.context() as patched:
        patched.setattr("api.inbox._sync", sync)
        with pytest.raises(SystemExit):
            store(caller, related(slices))
    before = list(parts.inbox.pending())
    store(caller, related(slices))
    gatherer.gather()

    assert before == []
    assert kept(sessions) == [len(slices)]


def test_disk_that_fills_up_while_a_part_is_written_is_said_in_the_words_of_http(
    caller: Caller, slices: list[bytes], parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.spool.SpoolFile.write", _full)

    assert store(caller, related(slices)).refusal == (507, "storage_full")
    assert list(parts.inbox.pending()) == []


def test_header_that_is_odd_is_taken_as_well(caller: Caller, slices: list[bytes]) -> None:
    implicit = pydicom.dcmread(io.BytesIO(slices[0]))
    implicit.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    buffer = io.BytesIO()
    implicit.save_as(buffer)

    answer = store(caller, related([buffer.getvalue(), slices[1]]))

    stored = Dataset.from_json(answer.json).ReferencedSOPSequence
    assert [one.ReferencedSOPInstanceUID for one in stored] == [
        uid(file, "SOP") for file in slices[:2]
    ]


def test_dicomweb_client_stores_a_study(
    settings: Settings, key: str, slices: list[bytes], sessions: Sessions
) -> None:
    with running_server(settings) as server, HTTPSession() as http:
        http.headers["Authorization"] = f"Bearer {key}"
        client = DICOMwebClient(f"{server.url}/dicom-web", session=http)
        document = client.store_instances(
            [pydicom.dcmread(io.BytesIO(file)) for file in slices], uid(slices[0])
        )
        _wait_for(lambda: bool(jobs(sessions)))

    assert len(document.ReferencedSOPSequence) == len(slices)
    assert [job.slice_count for job in jobs(sessions)] == [len(slices)]


def _wait_for(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
