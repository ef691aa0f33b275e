"""Bodies that stall, break off or outgrow the disk while they are read."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from apiflask import APIFlask
from werkzeug.exceptions import RequestTimeout

from api import body
from api.body import CHUNK, Body
from hilum.errors import IncompleteUpload, StorageFull, UploadTooLarge
from hilum.settings import MIB, Settings


@contextmanager
def upload(app: APIFlask, length: int, **environment: Any) -> Iterator[None]:
    """Begin a request whose body is to have this many bytes."""
    with app.test_request_context(
        "/v1/studies",
        method="POST",
        environ_overrides={"CONTENT_LENGTH": str(length), **environment},
    ):
        yield


Wire = tuple[socket.socket, dict[str, Any]]


@pytest.fixture
def wire() -> Iterator[Wire]:
    """The client's end of a connection, and what gunicorn tells of the other end."""
    client, server = socket.socketpair()
    with client, server, server.makefile("rb", buffering=0) as stream:
        yield (
            client,
            {
                "wsgi.input": stream,
                "wsgi.input_terminated": True,
                "gunicorn.socket": server,
            },
        )


def test_client_that_falls_silent_is_given_up(
    app: APIFlask,
    settings: Settings,
    tmp_path: Path,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body, "STALL_S", 0.05)
    client, environment = wire
    client.sendall(b"PK")

    with upload(app, 10, **environment):
        read = Body(settings, tmp_path)
        assert read.read() == b"PK"
        with pytest.raises(RequestTimeout, match="nothing for"):
            read.read()


def test_where_what_came_is_kept_a_silent_client_is_given_up_sooner(
    app: APIFlask, settings: Settings, tmp_path: Path, wire: Wire
) -> None:
    _, environment = wire

    with upload(app, 10, **environment), pytest.raises(RequestTimeout, match=r"nothing for 0 s"):
        Body(settings, tmp_path, stall_s=0.05).read()


def test_body_that_breaks_off_is_incomplete(
    app: APIFlask, settings: Settings, tmp_path: Path, wire: Wire
) -> None:
    client, environment = wire
    client.sendall(b"PK")
    client.shutdown(socket.SHUT_WR)

    with upload(app, 10, **environment), pytest.raises(IncompleteUpload, match="after 2 bytes"):
        Body(settings, tmp_path).check_whole()


def test_disk_that_fills_up_while_a_body_is_read_stops_it(
    app: APIFlask,
    settings: Settings,
    tmp_path: Path,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body, "LOOK_EVERY", 4)
    client, environment = wire
    client.sendall(b"12345678")

    with upload(app, 8, **environment):
        read = Body(settings, tmp_path)
        monkeypatch.setattr(read, "_min_free_mb", 10**9)
        assert read.read(3) == b"123"
        with pytest.raises(StorageFull):
            read.read(3)


def test_body_of_unknown_length_is_stopped_at_the_limit(
    app: APIFlask, settings: Settings, tmp_path: Path
) -> None:
    small = settings.model_copy(update={"max_upload_mb": 1})
    with (
        app.test_request_context("/v1/studies", method="POST", data=bytes(MIB + CHUNK)),
        pytest.raises(UploadTooLarge),
    ):
        Body(small, tmp_path).drain()


def test_digest_of_another_algorithm_is_passed_over(
    app: APIFlask, settings: Settings, tmp_path: Path
) -> None:
    headers = {"Content-Digest": "sha-512=:AAAA:"}

    with app.test_request_context("/v1/studies", method="POST", data=b"x", headers=headers):
        read = Body(settings, tmp_path)
        read.check_whole()

    assert read.count == 1
