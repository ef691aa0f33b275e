"""What tus 1.0.0 asks of every server."""

from collections.abc import Mapping
from typing import Any

import pytest

from hilum.settings import Settings
from tests.api.pieces import CHUNK_TYPE, UPLOADS, Pieces, checksum, folders, metadata


def test_abilities_are_told_to_who_asks(pieces: Pieces, settings: Settings) -> None:
    headers = pieces.call("OPTIONS").headers

    assert headers["Tus-Version"] == headers["Tus-Resumable"] == "1.0.0"
    assert set(headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "expiration",
        "checksum",
        "termination",
    }
    assert "sha1" in headers["Tus-Checksum-Algorithm"].split(",")
    assert int(headers["Tus-Max-Size"]) == settings.max_upload_mb * 1024**2


def test_head_tells_what_was_announced(pieces: Pieces) -> None:
    announced = pieces.announce(10, filename="ä.zip")
    path = announced.headers["Location"]

    headers = pieces.call("HEAD", path).headers

    assert announced.json == pieces.caller.get(path).json
    assert (headers["Upload-Offset"], headers["Upload-Length"]) == ("0", "10")
    assert headers["Upload-Metadata"] == metadata(filename="ä.zip")["Upload-Metadata"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Upload-Expires"].endswith(" GMT")


@pytest.mark.parametrize("method", ["POST", "HEAD", "PATCH", "DELETE"])
def test_another_version_is_not_spoken(pieces: Pieces, method: str) -> None:
    path = UPLOADS if method == "POST" else pieces.begin(10)

    answer = pieces.call(method, path, headers={"Tus-Resumable": "0.2.2", "Upload-Offset": 0})

    assert (answer.status, answer.headers["Tus-Version"]) == (412, "1.0.0")


def test_post_stands_for_the_method_that_a_proxy_forbids(pieces: Pieces) -> None:
    path = pieces.begin(10)
    chunk = {"Upload-Offset": 0, "Content-Type": CHUNK_TYPE}

    statuses = [
        pieces.call("POST", path, body, headers={"X-HTTP-Method-Override": method} | more).status
        for method, body, more in [("PATCH", b"12345", chunk), ("HEAD", b"", {})]
    ]
    offset = pieces.offset(path)
    gone = pieces.call("POST", path, headers={"X-HTTP-Method-Override": "DELETE"})

    assert (statuses, offset, gone.status) == ([204, 200], 5, 204)


def test_terminated_upload_is_gone_and_its_bytes_too(pieces: Pieces, settings: Settings) -> None:
    path = pieces.begin(10)

    assert pieces.call("DELETE", path).status == 204

    assert pieces.call("DELETE", path).refusal == (404, "unknown_upload")
    assert not folders(settings)


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_chunk_of_another_checksum_is_not_kept(pieces: Pieces, algorithm: str) -> None:
    path = pieces.begin(10)

    right = pieces.patch(path, 0, b"1234", headers=checksum(algorithm, b"1234"))
    wrong = pieces.patch(path, 4, b"5678", headers=checksum(algorithm, b"5679"))

    assert right.status == 204
    assert wrong.refusal == (460, "checksum_mismatch")
    assert pieces.offset(path) == 4


@pytest.mark.parametrize("header", ["crc32 AAAA", "sha1 ?", "sha1"])
def test_checksum_that_is_none_is_refused(pieces: Pieces, header: str) -> None:
    answer = pieces.patch(pieces.begin(10), 0, b"1", headers={"Upload-Checksum": header})

    # No digest has no bytes, so an empty one is well formed and wrong.
    assert answer.status in {400, 460}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Offset": 3}, 409, "offset_mismatch"),
        ({"Upload-Offset": -1}, 422, "invalid_request"),
        ({"Content-Type": "application/zip"}, 415, "unsupported_media_type"),
    ],
)
def test_piece_in_the_wrong_place_or_of_the_wrong_kind_is_refused(
    pieces: Pieces, headers: Mapping[str, Any], status: int, code: str
) -> None:
    path = pieces.begin(10)

    assert pieces.patch(path, 0, b"1234", headers=headers).refusal == (status, code)

    assert pieces.offset(path) == 0


def test_more_bytes_than_were_announced_are_refused(pieces: Pieces) -> None:
    path = pieces.begin(10)

    assert pieces.patch(path, 0, b"12345678901").refusal == (413, "upload_too_large")

    assert pieces.offset(path) == 0


@pytest.mark.parametrize("header", ["network !", "network d2FyZA==,", "a YQ==,a YQ==", "a YQ== YQ"])
def test_malformed_metadata_is_refused_and_not_repeated(pieces: Pieces, header: str) -> None:
    headers = {"Upload-Length": 10, "Upload-Metadata": header}

    answer = pieces.call("POST", headers=headers)

    assert answer.refusal == (422, "invalid_request")
    assert header not in answer.text
