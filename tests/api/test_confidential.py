"""Hospitals whose patients stay with them: nothing that names one is stored or sent on."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import ZipFile

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage
from pynetdicom import AE
from sqlalchemy import Engine, select

from api.dimse import Scp, Status
from api.gatherer import Gatherer
from api.parts import Parts
from api.push.courier import Courier
from api.spool import spooled
from db.destinations import add_destination
from db.session import Sessions
from db.tables import InstanceRow, JobRow, Row, StudyRow, TenantRow
from db.tenants import set_policy
from db.titles import add_title
from hilum.destinations import Dimse
from hilum.dicom.deidentify import Deidentifier, Option, Policy
from hilum.errors import InvalidRequest, StorageFull
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.api.pieces import Pieces
from tests.api.push.archives import storescp
from tests.phantoms import chest, zipped
from tests.test_privacy import NEEDLES, planted

pytestmark = pytest.mark.usefixtures("scanners")

KEY = "0123456789abcdef" * 4
ON_ARRIVAL = Policy(KEY, on_arrival=True)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"study_quiet_s": 0.0})


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    """A study of somebody."""
    return pack(tmp_path, planted(chest().datasets()))


def pack(folder: Path, datasets: Sequence[Dataset]) -> bytes:
    return zipped(folder / f"{len(list(folder.iterdir()))}.zip", datasets).read_bytes()


def ask(sessions: Sessions, tenant: TenantRow, policy: Policy | None) -> None:
    with sessions.begin() as session:
        set_policy(session, tenant.name, policy)


def stored(store: StudyStore) -> list[Path]:
    return sorted(path for path in Path(store.root).rglob("*") if path.is_file())


def everything(engine: Engine, store: StudyStore, settings: Settings) -> Iterator[bytes]:
    """All that Hilum remembers: files and their names, and every row."""
    for root in (Path(store.root), settings.spool_dir):
        for path in root.rglob("*"):
            yield str(path).encode()
            if path.is_file():
                yield path.read_bytes()
    with engine.connect() as connection:
        for table in Row.metadata.sorted_tables:
            yield from (str(row).encode() for row in connection.execute(select(table)))


def needles(found: Iterator[bytes]) -> list[str]:
    whole = b"\n".join(found).lower()
    return [needle for needle in NEEDLES if needle.encode() in whole]


def put_into_inbox(parts: Parts, tenant: TenantRow, folder: Path, files: Sequence[bytes]) -> None:
    folder.mkdir()
    for number, data in enumerate(files):
        path = folder / str(number)
        path.write_bytes(data)
        uid = str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)
        parts.inbox.add(tenant.id, {}, [(uid, spooled(path))])


def members(archive: bytes) -> list[bytes]:
    with ZipFile(io.BytesIO(archive)) as opened:
        return [opened.read(name) for name in opened.namelist()]


def test_nothing_that_is_stored_names_the_patient(
    caller: Caller,
    archive: bytes,
    sessions: Sessions,
    tenant: TenantRow,
    engine: Engine,
    store: StudyStore,
    settings: Settings,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)

    job = caller.send(archive).json

    assert needles(everything(engine, store, settings)) == []
    assert len(stored(store)) == len(members(archive))
    study = caller.get(f"/v1/studies/{job['study_id']}").json
    account = study["deidentification"]
    assert account["instances"] == len(members(archive))
    assert account["left_out"] == {}
    [name] = [one for one in account["changes"] if one["keyword"] == "PatientName"]
    assert (name["tag"], name["deed"]) == ("(0010,0010)", "replaced")


def test_without_a_policy_it_is_stored_as_it_came(
    caller: Caller,
    archive: bytes,
    sessions: Sessions,
    tenant: TenantRow,
    engine: Engine,
    store: StudyStore,
    settings: Settings,
) -> None:
    ask(sessions, tenant, Policy(KEY))

    job = caller.send(archive).json

    assert "planted" in needles(everything(engine, store, settings))
    assert caller.get(f"/v1/studies/{job['study_id']}").json["deidentification"] is None


def test_pseudonyms_are_those_of_the_command_by_the_same_key(
    caller: Caller, archive: bytes, sessions: Sessions, tenant: TenantRow, store: StudyStore
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)
    first = dcmread(io.BytesIO(members(archive)[0]))

    caller.send(archive)

    cleaned, _ = Deidentifier(KEY.encode()).deidentify(first)
    kept = {one.SOPInstanceUID: one for one in map(dcmread, stored(store))}[cleaned.SOPInstanceUID]
    assert (kept.PatientID, kept.StudyDate) == (cleaned.PatientID, cleaned.StudyDate)


def test_same_study_by_any_door_and_again_is_one_job(
    caller: Caller,
    archive: bytes,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    tmp_path: Path,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)
    by_zip = caller.send(archive).json["id"]

    again = caller.send(archive).json["id"]
    put_into_inbox(parts, tenant, tmp_path / "files", members(archive))
    Gatherer(parts).gather()

    with sessions.begin() as session:
        assert [str(one) for one in session.scalars(select(JobRow.id))] == [by_zip] == [again]
    assert list(parts.inbox.pending()) == []


def test_pieces_leave_nothing_of_the_patient(
    pieces: Pieces,
    archive: bytes,
    sessions: Sessions,
    tenant: TenantRow,
    engine: Engine,
    store: StudyStore,
    settings: Settings,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)

    address = pieces.begin(len(archive), filename="Plantedname.zip")
    answer = pieces.patch(address, 0, archive)

    assert answer.status == 204
    assert len(stored(store)) == len(members(archive))
    assert needles(everything(engine, store, settings)) == []


def test_scanner_leaves_nothing_of_the_patient(
    archive: bytes,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    engine: Engine,
    store: StudyStore,
    settings: Settings,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)
    with sessions.begin() as session:
        add_title(session, "HILUM", tenant.name, order={})
    server = Scp(parts).listen("127.0.0.1", 0)
    slices = [dcmread(io.BytesIO(file)) for file in members(archive)]
    entity = AE("CT01")
    entity.add_requested_context(slices[0].SOPClassUID, slices[0].file_meta.TransferSyntaxUID)

    association = entity.associate(*server.server_address[:2], ae_title="HILUM")
    statuses = {association.send_c_store(one).Status for one in slices}
    association.release()
    server.shutdown()
    Gatherer(parts).gather()

    assert statuses == {Status.SUCCESS}
    assert len(stored(store)) == len(slices)
    assert needles(everything(engine, store, settings)) == []


@pytest.mark.parametrize(("policy", "has_addresses"), [(None, True), (ON_ARRIVAL, False)])
def test_stow_names_no_address_that_leads_nowhere(
    policy: Policy | None,
    caller: Caller,
    archive: bytes,
    sessions: Sessions,
    tenant: TenantRow,
    *,
    has_addresses: bool,
) -> None:
    ask(sessions, tenant, policy)
    file = members(archive)[0]

    response = caller.client.post(
        "/dicom-web/studies",
        data=b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--edge--\r\n",
        content_type='multipart/related; type="application/dicom"; boundary=edge',
        headers=caller.headers(),
    )

    document = response.get_json()
    [stored] = document["00081199"]["Value"]
    assert response.status_code == 200
    assert ("00081190" in document, "00081190" in stored) == (has_addresses, has_addresses)
    assert stored["00081155"]["Value"] == [str(dcmread(io.BytesIO(file)).SOPInstanceUID)]


def test_late_instances_join_their_study_under_its_new_name(
    archive: bytes,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    engine: Engine,
    store: StudyStore,
    settings: Settings,
    tmp_path: Path,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)
    files = members(archive)

    for name, some in (("early", files[:8]), ("late", files[8:])):
        put_into_inbox(parts, tenant, tmp_path / name, some)
        Gatherer(parts).gather()

    with sessions.begin() as session:
        rows = list(session.scalars(select(StudyRow).order_by(StudyRow.created_at)))
        uids = set(session.scalars(select(InstanceRow.sop_instance_uid)))
    assert [row.instance_count for row in rows] == [8, len(files)]
    assert len({row.study_uid for row in rows}) == 1
    assert len(uids) == len(files)
    assert needles(everything(engine, store, settings)) == []


def test_what_came_before_the_policy_is_not_joined_to_what_came_after(
    archive: bytes,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    tmp_path: Path,
) -> None:
    files = members(archive)
    put_into_inbox(parts, tenant, tmp_path / "before", files[:8])
    Gatherer(parts).gather()
    retaining = frozenset({Option.RETAIN_UIDS})
    ask(sessions, tenant, Policy(KEY, retaining, on_arrival=True))

    put_into_inbox(parts, tenant, tmp_path / "after", files[8:])
    Gatherer(parts).gather()

    with sessions.begin() as session:
        [_, later] = session.scalars(select(StudyRow).order_by(StudyRow.created_at))
    assert later.instance_count == len(files) - 8
    assert "PLANTED" not in str(later.patient_id)


def test_second_copy_needs_room(
    caller: Caller,
    archive: bytes,
    sessions: Sessions,
    tenant: TenantRow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)

    def no_room(_folder: Path, *, needed: int, min_free_mb: int) -> None:
        raise StorageFull(f"{needed} {min_free_mb}")

    monkeypatch.setattr("api.confidential.check_free", no_room)

    assert caller.send(archive).refusal == (507, "storage_full")


def capture(slice_: Dataset) -> Dataset:
    """A screen shot in the same study, whose pixels may show the name."""
    shot = Dataset()
    shot.update(slice_)
    shot.file_meta = slice_.file_meta
    shot.SOPClassUID = SecondaryCaptureImageStorage
    shot.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    shot.SOPInstanceUID = "2.25.4711"
    shot.file_meta.MediaStorageSOPInstanceUID = "2.25.4711"
    shot.SeriesInstanceUID, shot.Modality = "2.25.4712", "OT"
    return shot


def captured() -> Dataset:
    return capture(planted(chest().datasets())[0])


def test_what_cannot_be_treated_is_left_out_and_counted(
    caller: Caller,
    sessions: Sessions,
    tenant: TenantRow,
    engine: Engine,
    store: StudyStore,
    settings: Settings,
    tmp_path: Path,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)
    slices = planted(chest().datasets())

    job = caller.send(pack(tmp_path, [*slices, captured()])).json

    account = caller.get(f"/v1/studies/{job['study_id']}").json["deidentification"]
    assert account["left_out"] == {"not_deidentifiable": 1}
    assert len(stored(store)) == len(slices)
    assert needles(everything(engine, store, settings)) == []


def test_study_of_which_nothing_is_left_is_refused_and_not_kept(
    caller: Caller,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    engine: Engine,
    store: StudyStore,
    settings: Settings,
    tmp_path: Path,
) -> None:
    ask(sessions, tenant, ON_ARRIVAL)
    archive = pack(tmp_path, [captured()])

    refusal = caller.send(archive).refusal
    put_into_inbox(parts, tenant, tmp_path / "files", members(archive))
    Gatherer(parts).gather()

    assert refusal == (422, "not_deidentifiable")
    assert stored(store) == []
    assert list(parts.inbox.pending()) == []
    assert needles(everything(engine, store, settings)) == []


# ── On export ─────────────────────────────────────────────────────────────────────────────────


def test_archive_that_may_not_know_gets_it_without_the_patient(
    caller: Caller,
    finished: str,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    tmp_path: Path,
) -> None:
    ask(sessions, tenant, Policy(KEY))
    with storescp(tmp_path / "research") as research:
        with sessions.begin() as session:
            contents = ("segmentation", "measurements", "originals")
            add_destination(
                session,
                tenant.name,
                "research",
                research.address,
                contents=contents,
                deidentify=True,
            )
        caller.post_json(f"/v1/jobs/{finished}/deliveries", {})

        Courier(parts).deliver_one()

        received = research.objects
    slices = {one.SOPInstanceUID for one in received if one.Modality == "CT"}
    [masks] = [one for one in received if one.SOPClassUID == SegmentationStorage]
    [series] = masks.ReferencedSeriesSequence
    referred = {one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence}
    assert referred <= slices
    assert {one.PatientID[:5] for one in received} == {"DEID-"}
    [done] = caller.get(f"/v1/jobs/{finished}/deliveries").json["items"]
    assert done["state"] == "delivered"
    # The profile does not reach reports.
    assert done["deidentification"]["left_out"] == {"not_deidentifiable": 1}
    assert done["objects"] == done["deidentification"]["instances"] == len(received)


def test_nothing_goes_out_once_the_policy_is_gone(
    caller: Caller,
    finished: str,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    tmp_path: Path,
) -> None:
    ask(sessions, tenant, Policy(KEY))
    with storescp(tmp_path / "research") as research:
        with sessions.begin() as session:
            add_destination(session, tenant.name, "research", research.address, deidentify=True)
        caller.post_json(f"/v1/jobs/{finished}/deliveries", {})
        ask(sessions, tenant, None)

        Courier(parts).deliver_one()

        assert research.objects == []
    [waiting] = caller.get(f"/v1/jobs/{finished}/deliveries").json["items"]
    assert waiting["state"] == "waiting"
    assert "no policy" in waiting["error"]


def test_destination_without_a_policy_to_go_by_is_refused(
    sessions: Sessions, tenant: TenantRow
) -> None:
    research = Dimse("RESEARCH", "localhost", 104)

    with (
        pytest.raises(InvalidRequest, match="hilum tenants deidentify"),
        sessions.begin() as session,
    ):
        add_destination(session, tenant.name, "research", research, deidentify=True)
