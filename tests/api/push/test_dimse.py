import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    SegmentationStorage,
)

from api.push import dimse, stow
from api.push.outgoing import Outgoing
from hilum.destinations import Dimse, Stow
from hilum.errors import MissingSetting, Undelivered, UnreadableObject
from hilum.settings import Settings
from tests.api.push.archives import Scripted, Service, free_port, relayed, storescp
from tests.phantoms import compressed, write_chest

pytestmark = pytest.mark.usefixtures("scanners")


def by_uid(files: list[Outgoing]) -> dict[str, Outgoing]:
    return {one.sop_instance_uid: one for one in files}


def test_results_reach_an_archive_of_dcmtk(
    results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    with storescp(tmp_path / "archive") as archive:
        dimse.store(results, archive.address, tmp_path, settings)
        received = archive.objects

    sent = by_uid(results)
    assert {one.SOPInstanceUID for one in received} == set(sent)
    for one in received:
        original = dcmread(sent[one.SOPInstanceUID].path)
        assert one.StudyInstanceUID == original.StudyInstanceUID
        if one.SOPClassUID == SegmentationStorage:
            # The archive reads nothing deflated.
            assert original.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
            assert one.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
            assert np.array_equal(one.pixel_array, original.pixel_array)


def test_archive_that_reads_implicit_alone_gets_that(
    results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    with storescp(tmp_path / "archive", "--implicit") as archive:
        dimse.store(results, archive.address, tmp_path, settings)
        received = archive.objects

    assert {one.file_meta.TransferSyntaxUID for one in received} == {ImplicitVRLittleEndian}
    assert len(received) == len(results)


@pytest.mark.parametrize(
    ("syntaxes", "expected"),
    [
        ([JPEGLSLossless, ExplicitVRLittleEndian], JPEGLSLossless),
        ([ExplicitVRLittleEndian], ExplicitVRLittleEndian),
        ([ImplicitVRLittleEndian], ImplicitVRLittleEndian),
    ],
)
def test_compressed_slices_are_decoded_only_for_archives_that_cannot(
    syntaxes: list[UID], expected: UID, settings: Settings, tmp_path: Path
) -> None:
    [path, *_] = sorted(write_chest(tmp_path / "chest").iterdir())
    [packed] = compressed([dcmread(path)], JPEGLSLossless)
    packed.save_as(tmp_path / "packed.dcm", enforce_file_format=True)
    archive = Scripted([0x0000], syntaxes=[str(one) for one in syntaxes])

    with archive.running() as address:
        dimse.store([Outgoing.of(tmp_path / "packed.dcm")], address, tmp_path, settings)

    assert [syntax for _, syntax in archive.received] == [expected]


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0x0124, 0x0122, 0xFE00])
def test_refusal_of_one_object_is_said_with_its_status(
    status: int, results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    archive = Scripted([0x0000, status])

    with archive.running() as address, pytest.raises(Undelivered) as refusal:
        dimse.store(results, address, tmp_path, settings)

    assert f"object 2 of 4 with status 0x{status:04X}" in refusal.value.message
    assert len(archive.received) == 2


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_warnings_and_what_was_there_before_count_as_delivered(
    status: int, results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    archive = Scripted([status])

    with archive.running() as address:
        dimse.store(results, address, tmp_path, settings)

    assert len(archive.received) == len(results)


def test_archive_that_breaks_off_has_not_taken_it(
    results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    archive = Scripted([0x0000, None])

    with archive.running() as address, pytest.raises(Undelivered, match="broke off at object 2"):
        dimse.store(results, address, tmp_path, settings)


@pytest.mark.parametrize(
    ("known_class", "reason"),
    [
        ("CTImageStorage", "takes no such objects"),
        ("SegmentationStorage", "takes no objects of SOP class 1.2.840.10008.5.1.4.1.1.104.1"),
    ],
)
def test_archive_that_does_not_know_a_class_has_not_taken_it(
    known_class: str, reason: str, results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    # DCMTK reads from a file which classes it is to know.
    known = tmp_path / "storescp.cfg"
    known.write_text(
        "[[TransferSyntaxes]]\n[Plain]\nTransferSyntax1 = LittleEndianExplicit\n"
        f"[[PresentationContexts]]\n[One]\nPresentationContext1 = {known_class}\\Plain\n"
        "[[Profiles]]\n[Only]\nPresentationContexts = One\n"
    )
    with (
        storescp(tmp_path / "archive", "--config-file", str(known), "Only") as archive,
        pytest.raises(Undelivered, match=re.escape(reason)),
    ):
        dimse.store(results, archive.address, tmp_path, settings)


def test_wrong_title_is_said(results: list[Outgoing], settings: Settings, tmp_path: Path) -> None:
    with (
        Scripted([0x0000]).running(title="OTHER") as address,
        pytest.raises(Undelivered, match="rejected the association"),
    ):
        dimse.store(results, address, tmp_path, settings)


def test_archive_that_is_away_is_said(
    results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    away = Dimse("PACS", "127.0.0.1", free_port())

    with pytest.raises(Undelivered, match=f"PACS@127.0.0.1:{away.port} does not answer"):
        dimse.store(results, away, tmp_path, settings)
    with pytest.raises(Undelivered, match="does not answer"):
        dimse.echo(away, settings)


def test_echo_reaches_an_archive(settings: Settings, tmp_path: Path) -> None:
    with storescp(tmp_path / "archive") as archive:
        dimse.echo(archive.address, settings)


def test_file_that_is_no_dicom_any_more_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.dcm").write_bytes(bytes(1000))

    with pytest.raises(UnreadableObject):
        Outgoing.of(tmp_path / "broken.dcm")


def test_tls_archive_gets_it_by_tls_and_an_unknown_one_nothing(
    certificate: tuple[str, str], results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    public, private = certificate
    known = settings.model_copy(
        update={
            "dimse_certificate": public,
            "dimse_private_key": private,
            "dimse_authorities": public,
        }
    )
    options = ["--enable-tls", private, public, "--add-cert-file", public]
    with storescp(tmp_path / "archive", *options) as archive:
        address = Dimse("ANY-SCP", "localhost", archive.address.port, tls=True)
        with pytest.raises(Undelivered):
            dimse.store(results, address, tmp_path, settings)
        assert archive.objects == []

        dimse.store(results, address, tmp_path, known)

        assert len(archive.objects) == len(results)


def test_certificate_that_is_not_there_is_named(
    results: list[Outgoing], settings: Settings, tmp_path: Path
) -> None:
    wrong = settings.model_copy(update={"dimse_authorities": "/none.pem"})

    with pytest.raises(MissingSetting):
        dimse.store(results, Dimse("PACS", "localhost", 1, tls=True), tmp_path, wrong)


def large(folder: Path, mib: int) -> Outgoing:
    """A slice of many bytes."""
    [path, *_] = sorted(write_chest(folder / "large").iterdir())
    dataset = dcmread(path)
    dataset.Rows, dataset.Columns = 1024, mib * 512
    dataset.PixelData = bytes(mib * 1024 * 1024)
    dataset.save_as(folder / "large.dcm", enforce_file_format=True)
    return Outgoing.of(folder / "large.dcm")


def test_archive_that_stops_reading_is_away(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimse, "ANSWER_S", 1.0)
    monkeypatch.setattr(dimse, "SLOWEST_BYTES_S", 2**30)
    one = large(tmp_path, 64)

    with (
        Scripted([0x0000]).running() as address,
        relayed(address, most=1024 * 1024) as there,
        pytest.raises(Undelivered, match="broke off at object 1"),
    ):
        dimse.store([one], there, tmp_path, settings)


def test_slow_link_has_the_time_that_it_takes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimse, "ANSWER_S", 1.0)
    monkeypatch.setattr(dimse, "SLOWEST_BYTES_S", 256 * 1024)
    one, archive = large(tmp_path, 16), Scripted([0x0000])

    with archive.running() as address, relayed(address, pause_s=0.02) as there:
        dimse.store([one], there, tmp_path, settings)

    assert len(archive.received) == 1


def without_meta(path: Path, target: Path) -> Path:
    """The data set alone, as old archives keep it."""
    dataset = dcmread(path)
    with target.open("wb") as file:
        dcmwrite(file, dataset, implicit_vr=False, little_endian=True, enforce_file_format=False)
    data = target.read_bytes()
    # Group 0002 ends where group 0008 begins.
    target.write_bytes(data[data.index(b"\x08\x00\x05\x00") :])
    return target


def of_another(path: Path, target: Path) -> Path:
    """Says at its beginning that it is another instance of another class."""
    data = path.read_bytes()
    dataset = dcmread(path)
    head, rest = data[:1024], data[1024:]
    uid = str(dataset.SOPInstanceUID).encode()
    target.write_bytes(head.replace(uid, uid[:-1] + b"0", 1) + rest)
    assert dcmread(target).file_meta.MediaStorageSOPInstanceUID != dataset.SOPInstanceUID
    return target


@pytest.mark.parametrize("damage", [without_meta, of_another])
@pytest.mark.parametrize("protocol", ["dimse", "stow"])
def test_file_that_lacks_a_proper_head_gets_one(
    damage: Callable[[Path, Path], Path], protocol: str, settings: Settings, tmp_path: Path
) -> None:
    [path, *_] = sorted(write_chest(tmp_path / "chest").iterdir())
    original = dcmread(path)
    kept = Outgoing.of(damage(path, tmp_path / "kept.dcm"))

    if protocol == "dimse":
        with storescp(tmp_path / "archive") as archive:
            dimse.store([kept], archive.address, tmp_path, settings)
            [received] = archive.objects
    else:
        service = Service(200, {})
        with service.running() as url:
            stow.store([kept], Stow(url), tmp_path, settings)
        body = service.requests[0][3]
        received = dcmread(io.BytesIO(body[body.index(b"\r\n\r\n") + 4 :]))

    assert not kept.is_proper
    assert received.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
    assert received.SOPInstanceUID == original.SOPInstanceUID
    assert np.array_equal(received.pixel_array, original.pixel_array)


def test_object_without_a_class_is_named(tmp_path: Path) -> None:
    [path, *_] = sorted(write_chest(tmp_path / "chest").iterdir())
    dataset = dcmread(path)
    del dataset.SOPClassUID
    dataset.save_as(tmp_path / "odd.dcm")

    with pytest.raises(UnreadableObject, match="no SOP class"):
        Outgoing.of(tmp_path / "odd.dcm")
