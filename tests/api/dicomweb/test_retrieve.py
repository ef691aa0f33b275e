import io

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from sqlalchemy import update

from db.session import Sessions
from db.tables import InstanceRow
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.api.dicomweb.kept import (
    EXPLICIT,
    SYNTAXES,
    encoded,
    kept_files,
)
from tests.api.dicomweb.place import AS_STORED, Place, get, objects_of, parts_of
from tests.api.dicomweb.ward import Send
from tests.phantoms import chest, setting

DICOM = 'multipart/related; type="application/dicom"'


def of_syntax(syntax: str) -> str:
    return f"{DICOM}; transfer-syntax={syntax}"


def test_study_series_and_instance_come_byte_for_byte_as_stored(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    sent = sorted(path.read_bytes() for path in send(encoded(slices, RLELossless)))
    place = Place.of(slices[0])

    for path, expected in {place.study: sent, place.series: sent, place.instance: sent}.items():
        answer = get(caller, path, AS_STORED)
        parts = parts_of(answer)
        assert answer.headers["Content-Type"].startswith(f"{DICOM}; boundary=")
        assert {kind for kind, _ in parts} == {f"application/dicom; transfer-syntax={RLELossless}"}
        bodies = sorted(body for _, body in parts)
        assert bodies == expected if path != place.instance else bodies[0] in expected


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("accept", [None, DICOM, of_syntax(EXPLICIT)])
def test_objects_come_decoded_where_nothing_else_is_asked(
    caller: Caller, send: Send, slices: list[Dataset], syntax: UID, accept: str | None
) -> None:
    send(encoded(slices, syntax))

    answer = get(caller, Place.of(slices[0]).study, accept)

    found = {one.SOPInstanceUID: one for one in objects_of(answer)}
    assert {kind for kind, _ in parts_of(answer)} == {
        f"application/dicom; transfer-syntax={EXPLICIT}"
    }
    assert set(found) == {one.SOPInstanceUID for one in slices}
    for original in slices:
        one = found[original.SOPInstanceUID]
        assert one.file_meta.TransferSyntaxUID == EXPLICIT
        assert np.array_equal(one.pixel_array, original.pixel_array)
        assert one.PatientName == original.PatientName
        assert one.ImagePositionPatient == original.ImagePositionPatient


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_syntax_that_objects_are_kept_in_may_be_asked_for(
    caller: Caller, send: Send, slices: list[Dataset], syntax: UID
) -> None:
    [file] = send(encoded(slices[:1], syntax))

    answer = get(caller, Place.of(slices[0]).series, of_syntax(str(syntax)))

    assert [body for _, body in parts_of(answer)] == [file.read_bytes()]


def test_single_instance_may_come_without_parts(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    files = send(encoded(slices, JPEG2000Lossless))
    place = Place.of(slices[0])

    decoded = get(caller, place.instance, "application/dicom")
    stored = get(caller, place.instance, "application/dicom; transfer-syntax=*")

    assert decoded.headers["Content-Type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    one = dcmread(io.BytesIO(decoded.data))
    assert np.array_equal(one.pixel_array, slices[0].pixel_array)
    assert stored.data == files[0].read_bytes()
    assert get(caller, place.series, "application/dicom").refusal == (406, "not_acceptable")


@pytest.mark.parametrize(
    "accept",
    [
        "multipart/related; type=application/dicom; transfer-syntax=*",
        'multipart/related; type="application/dicom"; transfer-syntax="*"',
        'MULTIPART/RELATED; TYPE="Application/DICOM"; Transfer-Syntax=*',
        "text/html, */*; transfer-syntax=*; q=0.1",
        'application/dicom+json, multipart/related; type="application/*"; transfer-syntax=*',
    ],
)
def test_accept_is_understood_in_every_spelling(
    caller: Caller, send: Send, slices: list[Dataset], accept: str
) -> None:
    [file] = send(encoded(slices[:1], RLELossless))

    answer = get(caller, Place.of(slices[0]).series, accept)

    assert [body for _, body in parts_of(answer)] == [file.read_bytes()]


@pytest.mark.parametrize(
    "accept",
    [
        of_syntax(str(JPEG2000Lossless)),
        of_syntax(str(ImplicitVRLittleEndian)),
        of_syntax("1.2.3"),
        'multipart/related; type="application/octet-stream"',
        'multipart/related; type="application/dicom+xml"',
        "application/zip",
        "image/png",
        "nonsense",
    ],
)
def test_what_is_not_offered_is_not_acceptable(
    caller: Caller, send: Send, slices: list[Dataset], accept: str
) -> None:
    send(encoded(slices[:1], RLELossless))
    place = Place.of(slices[0])

    for path in (place.study, place.series, place.instance):
        assert get(caller, path, accept).refusal == (406, "not_acceptable")


def test_first_of_several_that_is_there_is_sent(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    [file] = send(encoded(slices[:1], RLELossless))
    liked = [of_syntax(str(syntax)) for syntax in (JPEG2000Lossless, RLELossless)]

    answer = get(caller, Place.of(slices[0]).series, ", ".join([*liked, f"{DICOM}; q=0.5"]))

    assert [body for _, body in parts_of(answer)] == [file.read_bytes()]


def test_accept_may_stand_in_the_query(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    [file] = send(encoded(slices[:1], RLELossless))
    place = Place.of(slices[0])

    headers = {"Accept": "text/html"}
    answer = caller.get(
        place.instance, headers=headers, accept="application/dicom;transfer-syntax=*"
    )

    assert answer.data == file.read_bytes()


def test_file_without_preamble_comes_as_a_whole_file(
    caller: Caller, send: Send, slices: list[Dataset], sessions: Sessions, store: StudyStore
) -> None:
    send(slices[:1])
    [kept] = kept_files(sessions, store)
    bare = io.BytesIO()
    slices[0].save_as(bare, implicit_vr=False, little_endian=True, enforce_file_format=False)
    kept.write_bytes(bare.getvalue()[bare.getvalue().index(b"\x08\x00\x05\x00CS") :])

    [one] = objects_of(get(caller, Place.of(slices[0]).series))

    assert np.array_equal(one.pixel_array, slices[0].pixel_array)


def test_object_kept_before_there_were_attributes_is_sent_too(
    caller: Caller, send: Send, slices: list[Dataset], sessions: Sessions
) -> None:
    [file] = send(encoded(slices[:1], RLELossless))
    with sessions.begin() as session:
        session.execute(update(InstanceRow).values(attributes=None))
    place = Place.of(slices[0])

    [(kind, body)] = parts_of(get(caller, place.instance, AS_STORED))
    [one] = objects_of(get(caller, place.instance))

    assert (kind, body) == (
        f"application/dicom; transfer-syntax={RLELossless}",
        file.read_bytes(),
    )
    assert np.array_equal(one.pixel_array, slices[0].pixel_array)


def test_instance_of_several_uploads_is_the_last_one(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    send(slices[:1])
    [later] = send(setting(chest().datasets()[:1], None, PatientName="Later"))

    [(_, body)] = parts_of(get(caller, Place.of(slices[0]).study, AS_STORED))

    assert body == later.read_bytes()


def test_results_are_objects_of_the_study(caller: Caller, finished: str) -> None:
    place = Place.of(chest().datasets()[0])

    objects = objects_of(get(caller, place.study))

    assert finished
    made = {one.Modality: one for one in objects if one.Modality != "CT"}
    assert set(made) == {"SEG", "SR", "OT", "DOC"}
    assert {one.file_meta.TransferSyntaxUID for one in objects} == {EXPLICIT}
    assert made["SEG"].pixel_array.any()
    assert made["DOC"].EncapsulatedDocument.startswith(b"%PDF")
