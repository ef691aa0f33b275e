"""Studies in pieces, as a client of tus sends them."""

from pathlib import Path
from typing import Any

import pytest

from api.writer import writing
from hilum.errors import DatabaseUnavailable
from hilum.settings import Settings
from tests.api.caller import Caller
from tests.api.pieces import CHUNK_TYPE, Pieces, checksum, folders
from tests.phantoms import write_chest

CUT = 1000


def test_study_in_pieces_is_answered_with_the_job_of_a_whole_one(
    pieces: Pieces, archive: bytes
) -> None:
    whole = pieces.caller.send(archive).json

    path = pieces.begin(len(archive), filetype="application/zip", filename="chest.zip")
    first = pieces.patch(path, 0, archive[:CUT])
    last = pieces.patch(path, CUT, archive[CUT:])

    assert (first.status, first.headers["Upload-Offset"]) == (204, str(CUT))
    assert (last.status, last.headers["Upload-Offset"]) == (204, str(len(archive)))
    assert "Hilum-Job" not in first.headers
    assert last.headers["Hilum-Job"] == whole["links"]["self"]


def test_job_is_told_again_to_who_lost_the_last_answer(pieces: Pieces, archive: bytes) -> None:
    path = pieces.begin(len(archive))
    job = pieces.patch(path, 0, archive).headers["Hilum-Job"]

    seen = pieces.call("HEAD", path)
    again = pieces.patch(path, len(archive), b"")
    shown = pieces.caller.get(path).json

    assert (seen.status, seen.headers["Hilum-Job"]) == (200, job)
    assert (again.status, again.headers["Hilum-Job"]) == (204, job)
    assert (shown["state"], shown["offset"], shown["links"]["job"]) == ("taken", len(archive), job)
    assert pieces.caller.get(job).json["state"] == "queued"


def test_first_piece_may_come_with_the_announcement(pieces: Pieces, archive: bytes) -> None:
    headers = {"Upload-Length": len(archive), "Content-Type": CHUNK_TYPE}

    half = pieces.call("POST", body=archive[:CUT], headers=headers)
    whole = pieces.call("POST", body=archive, headers=headers | checksum("sha1", archive))

    assert (half.status, half.headers["Upload-Offset"]) == (201, str(CUT))
    assert whole.status == 201
    assert whole.headers["Hilum-Job"].startswith("/v1/jobs/")


def test_one_dicom_file_is_known_by_its_content(pieces: Pieces, tmp_path: Path) -> None:
    [file, *_] = write_chest(tmp_path / "parts").iterdir()
    body = file.read_bytes()

    answers = [
        pieces.patch(pieces.begin(len(body), **fields), 0, body)
        for fields in ({}, {"filetype": "application/dicom"}, {"type": "application/octet-stream"})
    ]

    assert {answer.status for answer in answers} == {204}
    assert len({answer.headers["Hilum-Job"] for answer in answers}) == 1


def test_order_is_taken_from_the_metadata(pieces: Pieces, archive: bytes) -> None:
    path = pieces.begin(len(archive), network="other", priority="stat", relativePath="", name="x")

    job = pieces.caller.get(pieces.patch(path, 0, archive).headers["Hilum-Job"]).json

    assert (job["network"], job["priority"]) == ("other@1.0.0", "stat")


def test_idempotency_key_is_answered_with_its_job_by_either_door(
    pieces: Pieces, archive: bytes
) -> None:
    job = pieces.caller.send(archive, headers={"Idempotency-Key": "order-7"}).json

    path = pieces.begin(5, idempotency_key="order-7")
    answer = pieces.patch(path, 0, b"other")
    conflict = pieces.announce(5, idempotency_key="order-7", network="other")

    assert answer.headers["Hilum-Job"] == job["links"]["self"]
    assert conflict.refusal == (422, "idempotency_conflict")


def test_upload_of_another_hospital_is_unknown(pieces: Pieces, stranger: Caller) -> None:
    path, other = pieces.begin(10), Pieces(stranger)

    answers = [
        stranger.get(path),
        other.patch(path, 0, b"1"),
        other.call("DELETE", path),
    ]

    assert {answer.refusal for answer in answers} == {(404, "unknown_upload")}
    assert pieces.offset(path) == 0


def test_second_writer_is_told_to_wait(pieces: Pieces, settings: Settings) -> None:
    path = pieces.begin(10)

    with writing(folders(settings)[0]):
        answers = [pieces.patch(path, 0, b"1234"), pieces.call("DELETE", path)]

    assert {answer.refusal for answer in answers} == {(423, "upload_locked")}
    assert int(answers[0].headers["Retry-After"]) > 0
    assert pieces.patch(path, 0, b"1234").status == 204


def test_study_that_is_refused_is_refused_by_name_and_so_remembered(
    pieces: Pieces, settings: Settings
) -> None:
    path = pieces.begin(6, filetype="application/zip")

    answer = pieces.patch(path, 0, b"no zip")

    assert answer.refusal == (422, "not_a_zip")
    shown = pieces.caller.get(path).json
    assert (shown["state"], shown["error"]["code"]) == ("failed", "not_a_zip")
    assert pieces.call("HEAD", path).status == 410
    assert pieces.patch(path, 6, b"").refusal == (410, "upload_failed")
    assert (folders(settings)[0] / "data").stat().st_size == 0


def test_refused_study_that_came_with_its_announcement_leaves_nothing(
    pieces: Pieces, settings: Settings
) -> None:
    headers = {"Upload-Length": 6, "Content-Type": CHUNK_TYPE}

    answer = pieces.call("POST", body=b"no zip", headers=headers)

    assert answer.refusal == (422, "not_a_zip")
    assert not folders(settings)


def test_where_the_world_was_at_fault_an_empty_piece_tries_again(
    pieces: Pieces, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_args: Any) -> None:
        raise DatabaseUnavailable

    path = pieces.begin(len(archive))
    with monkeypatch.context() as broken:
        broken.setattr("api.completion.take_in", unavailable)
        refused = pieces.patch(path, 0, archive)
        state = pieces.caller.get(path).json["state"]

    again = pieces.patch(path, len(archive), b"")

    assert refused.refusal == (503, "database_unavailable")
    assert state == "whole"
    assert again.headers["Hilum-Job"].startswith("/v1/jobs/")
