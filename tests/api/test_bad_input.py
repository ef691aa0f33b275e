"""Every bad upload of the list has its code, and takes nothing away from what is kept."""

import base64
import io
import struct
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import func, select

from api import create_app
from api.parts import EXTENSION
from db.session import Sessions
from db.tables import JobRow
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.phantoms import (
    as_study,
    chest,
    clashing,
    coronal,
    localizer,
    missing,
    mixed_orientations,
    setting,
    truncated,
    without,
    zipped,
)

MIB = 1024 * 1024


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def encrypted() -> bytes:
    body = bytearray(zip_of({"a.dcm": b"secret"}, zipfile.ZIP_STORED))
    # Bit 0 of the flags, in the local header and in the central directory (APPNOTE 4.4.4).
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        struct.pack_into("<H", body, body.index(magic) + offset, 1)
    return bytes(body)


def damaged() -> bytes:
    body = bytearray(zip_of({"a.dcm": bytes(range(256)) * 64}))
    body[60] ^= 0xFF
    return bytes(body)


BAD_BYTES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "empty_upload"),
    "no zip": (b"DICM, or so it says", 422, "not_a_zip"),
    "an empty zip": (zip_of({}), 400, "empty_upload"),
    "a damaged zip": (damaged(), 422, "broken_zip"),
    "an encrypted zip": (encrypted(), 422, "encrypted_zip"),
    "a zip in a zip": (zip_of({"inner.zip": zip_of({"a.dcm": b"x"})}), 422, "nested_zip"),
    "a zip bomb": (zip_of({"a.dcm": bytes(8 * MIB)}), 413, "zip_bomb"),
    "a path that leads outside": (zip_of({"../../etc/cron.d/x": b"x"}), 422, "unsafe_path"),
    "too many files": (zip_of({f"{n}.dcm": b"x" for n in range(101)}), 413, "too_many_files"),
    "no DICOM": (zip_of({"readme.txt": b"Nothing to see here."}), 422, "no_dicom"),
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_files": 100, "max_upload_mb": 16})


@pytest.mark.parametrize("what", BAD_BYTES)
def test_bytes_that_cannot_be_a_study_are_refused_by_name(
    caller: Caller, sessions: Sessions, settings: Settings, what: str
) -> None:
    body, status, code = BAD_BYTES[what]

    answer = caller.send(body)

    assert answer.refusal == (status, code)
    assert answer.json["detail"]
    assert nothing_is_kept(sessions, settings)


@pytest.mark.parametrize("what", ["no zip", "a damaged zip", "a zip bomb", "no DICOM"])
def test_form_is_held_to_the_same(caller: Caller, what: str) -> None:
    body, status, code = BAD_BYTES[what]

    answer = caller.send_form({"study.zip": body})

    assert answer.refusal == (status, code)


def test_study_without_ct_is_refused(caller: Caller, tmp_path: Path) -> None:
    datasets = setting(
        chest().datasets(), None, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"
    )

    answer = caller.send(zipped(tmp_path / "mr.zip", datasets).read_bytes())

    assert answer.refusal == (422, "no_ct_series")


def test_study_of_a_scout_alone_is_refused(caller: Caller, tmp_path: Path) -> None:
    answer = caller.send(zipped(tmp_path / "s.zip", localizer(chest().datasets())).read_bytes())

    assert answer.refusal == (422, "no_ct_series")


def test_two_studies_in_one_upload_are_refused(caller: Caller, tmp_path: Path) -> None:
    datasets = chest().datasets()[:4]

    answer = caller.send(
        zipped(tmp_path / "two.zip", [*datasets, *as_study(datasets)]).read_bytes()
    )

    assert answer.refusal == (422, "mixed_studies")


BROKEN_SERIES: dict[str, Callable[[list[Dataset]], Iterable[Dataset]]] = {
    "one slice": lambda datasets: datasets[:1],
    "mixed orientations": mixed_orientations,
    "a coronal series": coronal,
    "missing slices": lambda datasets: missing(datasets, [11, 12]),
    "duplicate positions": lambda datasets: clashing(datasets, 5),
    "no rescale": lambda datasets: without(datasets, "RescaleSlope", "RescaleIntercept"),
    "no spacing": lambda datasets: without(datasets, "PixelSpacing"),
    "no position": lambda datasets: without(datasets, "ImagePositionPatient"),
    "pixels cut short": lambda datasets: truncated(datasets, 7),
}


@pytest.mark.parametrize("what", BROKEN_SERIES)
def test_series_that_is_no_grid_is_kept_and_left_to_the_worker(
    caller: Caller, tmp_path: Path, what: str
) -> None:
    datasets = list(BROKEN_SERIES[what](chest().datasets()))

    answer = caller.send(zipped(tmp_path / "odd.zip", datasets).read_bytes())

    assert answer.status == 202, answer.text
    study = caller.get(answer.json["links"]["study"]).json
    assert study["instance_count"] == len(datasets)


def test_second_file_of_a_uid_is_kept_beside_the_first(caller: Caller, tmp_path: Path) -> None:
    first, *rest = chest().datasets()
    other = chest().datasets()[0]
    other.InstanceNumber = 99

    answer = caller.send(zipped(tmp_path / "twins.zip", [first, other, *rest]).read_bytes())

    study = caller.get(answer.json["links"]["study"]).json
    assert study["instance_count"] == len(rest) + 2


BAD_ORDERS: dict[str, tuple[dict[str, str], str]] = {
    "unknown pipeline": ({"pipeline": "ct-miracles"}, "unknown_pipeline"),
    "unknown network": ({"network": "resnet9000"}, "unknown_network"),
    "unknown priority": ({"priority": "now"}, "invalid_request"),
    "misspelt field": ({"prority": "stat"}, "invalid_request"),
    "callback with another scheme": ({"callback_url": "file:///etc/passwd"}, "unsafe_callback"),
    "callback with a password": ({"callback_url": "http://u:p@example.org/"}, "unsafe_callback"),
    "callback to this machine": ({"callback_url": "http://127.0.0.1/"}, "unsafe_callback"),
}


@pytest.mark.parametrize("what", BAD_ORDERS)
@pytest.mark.parametrize("as_form", [False, True])
def test_order_that_cannot_be_met_is_refused(
    caller: Caller, archive: bytes, what: str, *, as_form: bool
) -> None:
    fields, code = BAD_ORDERS[what]

    if as_form:
        answer = caller.send_form({"study.zip": archive}, fields=fields)
    else:
        answer = caller.send(archive, query=fields)

    assert answer.refusal == (422, code)


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""]
)
def test_body_of_another_kind_is_refused(caller: Caller, archive: bytes, media_type: str) -> None:
    answer = caller.send(archive, media_type=media_type)

    assert answer.refusal == (415, "unsupported_media_type")
    assert "application/zip" in answer.json["detail"]


def test_upload_over_the_limit_is_refused_before_it_is_read(caller: Caller) -> None:
    answer = caller.send(bytes(17 * MIB))

    assert answer.refusal == (413, "upload_too_large")
    assert "16 MiB" in answer.json["detail"]


def test_upload_that_does_not_fit_on_the_disk_is_refused(
    settings: Settings, key: str, archive: bytes, sessions: Sessions
) -> None:
    app = create_app(settings.model_copy(update={"min_free_mb": 10**9}))

    answer = Caller(app.test_client(), key).send(archive)

    assert answer.refusal == (507, "storage_full")
    assert int(answer.headers["Retry-After"]) > 0
    assert nothing_is_kept(sessions, settings)
    app.extensions[EXTENSION].close()


def test_upload_with_another_digest_is_refused(caller: Caller, archive: bytes) -> None:
    digest = base64.b64encode(bytes(32)).decode()

    answer = caller.send(archive, headers={"Content-Digest": f"sha-256=:{digest}:"})

    assert answer.refusal == (400, "incomplete_upload")


def test_malformed_digest_is_refused(caller: Caller, archive: bytes) -> None:
    answer = caller.send(archive, headers={"Content-Digest": "sha-256=:?:"})

    assert answer.refusal == (422, "invalid_request")


@pytest.mark.parametrize("name", ["", " ", "a b", "ä", "x" * 256])
def test_malformed_idempotency_key_is_refused(caller: Caller, archive: bytes, name: str) -> None:
    answer = caller.send(archive, headers={"Idempotency-Key": name})

    assert answer.refusal == (422, "invalid_request")


MULTIPART = "multipart/form-data; boundary=cut"
BAD_FORMS: dict[str, tuple[str, bytes, str]] = {
    "no boundary": ("multipart/form-data", b"--cut--", "invalid_request"),
    "an empty body": (MULTIPART, b"", "empty_upload"),
    "no part": (MULTIPART, b"--cut--\r\n", "empty_upload"),
    "no end": (
        MULTIPART,
        b'--cut\r\nContent-Disposition: form-data; name="a"\r\n',
        "invalid_request",
    ),
    "a part without a name": (MULTIPART, b"--cut\r\n\r\nx\r\n--cut--\r\n", "invalid_request"),
}


@pytest.mark.parametrize("what", BAD_FORMS)
def test_malformed_form_is_refused(caller: Caller, what: str) -> None:
    media_type, body, code = BAD_FORMS[what]

    answer = caller.send(body, media_type=media_type)

    assert answer.json["code"] == code
    assert answer.status in {400, 422}


def test_form_without_a_file_is_refused(caller: Caller) -> None:
    assert caller.send_form({}, fields={"priority": "stat"}).refusal == (400, "empty_upload")


def test_form_with_an_archive_beside_files_is_refused(caller: Caller, archive: bytes) -> None:
    answer = caller.send_form({"a.zip": archive, "b.dcm": b"x"})

    assert answer.refusal == (422, "invalid_request")


def test_archive_is_known_by_its_bytes_whatever_its_name(caller: Caller, archive: bytes) -> None:
    assert caller.send_form({"study": archive}).status == 202


def test_form_with_too_many_files_is_refused(caller: Caller) -> None:
    files = {f"{number}.dcm": b"x" for number in range(101)}

    assert caller.send_form(files).refusal == (413, "too_many_files")


def test_form_with_a_huge_field_is_refused(caller: Caller, archive: bytes) -> None:
    answer = caller.send_form({"a.zip": archive}, fields={"pipeline": "x" * 3 * MIB})

    assert answer.refusal == (413, "upload_too_large")


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b'"x"', b"\xff", b'{"study_id": 1}', b"null"])
def test_bad_json_is_refused(caller: Caller, body: bytes) -> None:
    response = caller.client.post(
        "/v1/jobs", data=body, content_type="application/json", headers=caller.headers()
    )

    assert response.status_code in {400, 422}
    assert response.get_json()["code"] == "invalid_request"


def test_body_that_is_no_json_is_told_so(caller: Caller) -> None:
    response = caller.client.post(
        "/v1/jobs", data=b"{", content_type="application/json", headers=caller.headers()
    )

    assert response.get_json()["detail"] == "Invalid JSON body."


def test_json_of_a_megabyte_is_refused(caller: Caller) -> None:
    answer = caller.post_json("/v1/jobs", {"study_id": "x" * MIB})

    assert answer.refusal == (413, "upload_too_large")


def nothing_is_kept(sessions: Sessions, settings: Settings) -> bool:
    with sessions.begin() as session:
        jobs = session.scalars(select(func.count()).select_from(JobRow)).one()
    store = Path(settings.storage_url.removeprefix("file://"))
    files = [path for path in store.rglob("*") if path.is_file()]
    return not jobs and not files
