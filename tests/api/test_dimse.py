import io
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
from sqlalchemy import select

from api.dimse import Scp, Status
from api.gatherer import Gatherer
from api.parts import Parts
from db.session import Sessions
from db.tables import JobRow, StudyRow, TenantRow
from db.titles import add_title
from hilum.errors import MissingSetting
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.phantoms import compressed, write_chest
from tests.programs import installed

pytestmark = pytest.mark.usefixtures("scanners")

TITLE = "HILUM_CT"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"study_quiet_s": 0.0, "dimse_associations": 3})


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chest CT as files."""
    return write_chest(tmp_path_factory.mktemp("dimse"))


@pytest.fixture
def slices(folder: Path) -> list[Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))]


@pytest.fixture
def port(parts: Parts, sessions: Sessions, tenant: TenantRow) -> Iterator[int]:
    """Where a service listens that knows one title."""
    with sessions.begin() as session:
        add_title(session, TITLE, tenant.name, order={"priority": "stat"})
    server = Scp(parts).listen("127.0.0.1", 0)
    yield server.server_address[1]
    server.shutdown()


def call(
    port: int,
    *,
    title: str = TITLE,
    calling: str = "CT01",
    syntax: str = ImplicitVRLittleEndian,
    tls: ssl.SSLContext | None = None,
) -> Association:
    entity = AE(calling)
    # These machines are slow when they are busy.
    entity.dimse_timeout = entity.acse_timeout = 120
    entity.add_requested_context(Verification)
    entity.add_requested_context(CTImageStorage, syntax)
    tls_args = (tls, "localhost") if tls else None
    return entity.associate("127.0.0.1", port, ae_title=title, tls_args=tls_args)


def send(association: Association, slices: list[Dataset]) -> list[int]:
    statuses = [association.send_c_store(one).Status for one in slices]
    association.release()
    return statuses


def reason(rejected: Association) -> tuple[int | None, int | None]:
    """Result and diagnostic of a rejection."""
    answer = rejected.acceptor.primitive
    assert answer is not None
    return answer.result, answer.diagnostic


def encoded(dataset: Dataset, syntax: str) -> Dataset:
    """The same instance as another archive would write it."""
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue()))


def jobs(sessions: Sessions) -> list[JobRow]:
    with sessions.begin() as session:
        return list(session.scalars(select(JobRow).order_by(JobRow.created_at)))


def test_echo_is_answered(port: int) -> None:
    association = call(port)

    status = association.send_c_echo()

    association.release()
    assert status.Status == Status.SUCCESS


def test_study_becomes_a_job_as_its_title_asks(
    port: int, slices: list[Dataset], parts: Parts, sessions: Sessions, tenant: TenantRow
) -> None:
    statuses = send(call(port, syntax=slices[0].file_meta.TransferSyntaxUID), slices)
    Gatherer(parts).gather()

    [job] = jobs(sessions)
    assert set(statuses) == {Status.SUCCESS}
    assert (job.tenant_id, job.priority, job.slice_count) == (tenant.id, "stat", len(slices))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_same_study_by_zip_and_by_c_store_is_one_job(
    caller: Caller,
    archive: bytes,
    syntax: str,
    port: int,
    slices: list[Dataset],
    parts: Parts,
    sessions: Sessions,
) -> None:
    by_zip = caller.send(archive).json["id"]

    send(call(port, syntax=syntax), [encoded(one, syntax) for one in slices])
    Gatherer(parts).gather()

    assert [str(job.id) for job in jobs(sessions)] == [by_zip]


def test_compressed_slices_are_kept_as_they_are(
    port: int, slices: list[Dataset], parts: Parts
) -> None:
    packed = compressed(slices[:2], JPEGLSLossless)

    statuses = send(call(port, syntax=JPEGLSLossless), packed)

    [study] = parts.inbox.pending()
    syntaxes = {pydicom.dcmread(f.path).file_meta.TransferSyntaxUID for f in study.files()}
    assert set(statuses) == {Status.SUCCESS}
    assert syntaxes == {JPEGLSLossless}


def test_unknown_title_is_turned_away(port: int) -> None:
    association = call(port, title="NOBODY")

    assert association.is_rejected
    assert reason(association) == (1, 7)


def test_scanner_that_may_not_call_is_turned_away(
    port: int, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        add_title(session, "GUARDED", tenant.name, order={}, calling=["CT02"])

    stranger, friend = call(port, title="GUARDED"), call(port, title="GUARDED", calling="CT02")

    assert stranger.is_rejected
    assert reason(stranger) == (1, 3)
    assert friend.is_established
    friend.release()


def test_too_many_associations_are_turned_away_for_now(port: int) -> None:
    held = [call(port) for _ in range(3)]

    one_more = call(port)

    assert all(one.is_established for one in held)
    assert one_more.is_rejected
    assert reason(one_more) == (2, 2)
    for one in held:
        one.release()


def test_full_disk_is_said_and_what_came_before_stays(
    port: int, slices: list[Dataset], parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    syntax = slices[0].file_meta.TransferSyntaxUID
    before = send(call(port, syntax=syntax), slices[:3])
    monkeypatch.setattr(
        "hilum.storage.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0)
    )

    after = send(call(port, syntax=syntax), slices[3:5])

    [study] = parts.inbox.pending()
    assert before == [Status.SUCCESS] * 3
    assert after == [Status.OUT_OF_RESOURCES] * 2
    assert study.count == 3


def test_aborted_association_keeps_what_was_confirmed(
    port: int, slices: list[Dataset], parts: Parts, sessions: Sessions
) -> None:
    association = call(port, syntax=slices[0].file_meta.TransferSyntaxUID)
    for one in slices[:5]:
        association.send_c_store(one)
    association.abort()
    Gatherer(parts).gather()

    send(call(port, syntax=slices[0].file_meta.TransferSyntaxUID), slices[5:])
    Gatherer(parts).gather()

    with sessions.begin() as session:
        rows = session.scalars(select(StudyRow).order_by(StudyRow.created_at))
        assert [row.instance_count for row in rows] == [5, len(slices)]


@pytest.mark.parametrize("start", [b"", b"\x01\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x01" * 4096])
def test_half_an_association_harms_nobody(port: int, start: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(start)

    association = call(port)
    answer = association.send_c_echo()
    association.release()
    assert answer.Status == Status.SUCCESS


def test_instance_that_contradicts_its_message_is_refused(
    port: int, slices: list[Dataset], parts: Parts
) -> None:
    association = call(port, syntax=slices[0].file_meta.TransferSyntaxUID)
    nameless = slices[0]
    del nameless.StudyInstanceUID

    assert send(association, [nameless]) == [Status.NOT_UNDERSTOOD]
    assert list(parts.inbox.pending()) == []


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    subject = "subjectAltName=DNS:localhost"
    subprocess.run(
        [
            installed("openssl", package="openssl"),
            *words.split(),
            "-addext",
            subject,
            "-out",
            certificate,
            "-keyout",
            key,
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_tls_is_spoken_where_a_certificate_is_set(
    certificate: tuple[Path, Path], parts: Parts, sessions: Sessions, tenant: TenantRow
) -> None:
    public, private = (str(path) for path in certificate)
    secured = Parts.assemble(
        parts.settings.model_copy(
            update={
                "dimse_certificate": public,
                "dimse_private_key": private,
                "dimse_authorities": public,
            }
        )
    )
    with sessions.begin() as session:
        add_title(session, TITLE, tenant.name, order={})
    server = Scp(secured).listen("127.0.0.1", 0)
    known = ssl.create_default_context(cafile=public)
    unknown = ssl.create_default_context(cafile=public)
    known.load_cert_chain(public, private)

    address = ("127.0.0.1", server.server_address[1])
    silent = socket.create_connection(address)
    with_certificate = call(address[1], tls=known)
    with (
        socket.create_connection(address) as plain,
        unknown.wrap_socket(plain, server_hostname="localhost") as without,
        pytest.raises(ssl.SSLError, match="certificate required"),
    ):
        # In TLS 1.3 a client hears of the missing certificate with its first answer.
        without.recv(1)

    assert with_certificate.send_c_echo().Status == Status.SUCCESS
    with_certificate.release()
    silent.close()
    server.shutdown()
    secured.close()


def test_absent_certificate_stops_the_service(parts: Parts) -> None:
    wrong = Parts.assemble(parts.settings.model_copy(update={"dimse_certificate": "/none.pem"}))

    with pytest.raises(MissingSetting, match=r"no file '/none\.pem'"):
        Scp(wrong).listen("127.0.0.1", 0)
    wrong.close()


@pytest.mark.parametrize(
    "command",
    [
        ["storescu", "--scan-directories", "--propose-lossless"],
        ["storescu", "--scan-directories", "--propose-implicit"],
        ["dcmsend", "--scan-directories"],
    ],
)
def test_dcmtk_sends_a_study(
    command: list[str], port: int, folder: Path, parts: Parts, sessions: Sessions
) -> None:
    program, *options = command
    program = installed(program, package="dcmtk")

    subprocess.run(
        [
            program,
            *options,
            "--aetitle",
            "CT01",
            "--call",
            TITLE,
            "127.0.0.1",
            str(port),
            str(folder),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    Gatherer(parts).gather()

    assert [job.slice_count for job in jobs(sessions)] == [len(list(folder.glob("*.dcm")))]


def test_log_of_an_association_names_nobody(
    port: int,
    slices: list[Dataset],
    parts: Parts,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for one in slices[:3]:
        one.PatientName, one.PatientID = "PLANTED^NAME", "PLANTED-ID"
    call(port, title="NOBODY")

    send(call(port, syntax=slices[0].file_meta.TransferSyntaxUID), slices[:3])
    Gatherer(parts).gather()

    said = caplog.text + "".join(capsys.readouterr())
    assert "study.received" in said or "study.without_job" in said
    assert "PLANTED" not in said
