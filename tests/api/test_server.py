"""The real server over real sockets: streams, memory, clients that misbehave."""

import http.client
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from db.session import make_sessions
from db.tenants import add_tenant, new_key
from hilum.settings import Settings
from tests.api.large import MIB, write_archive, write_form
from tests.api.server import Server, running_server

LARGE_MIB = 96
MEMORY_MIB = 64
"""What an upload of any size may cost; one held in memory would cost LARGE_MIB."""


@dataclass(frozen=True)
class Remote:
    """A server and the key of a hospital."""

    server: Server
    key: str
    settings: Settings

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.server.url)
        assert parts.hostname
        assert parts.port
        return parts.hostname, parts.port

    def post(self, body: Any, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(*self.address, timeout=120)
        own = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/zip"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", "/v1/studies", body, own | given)
        answer = connection.getresponse()
        document = json.loads(answer.read())
        connection.close()
        return answer.status, document

    def begin(self, length: int) -> socket.socket:
        """Open an upload of a length and send nothing of it yet."""
        connection = socket.create_connection(self.address, timeout=60)
        connection.sendall(
            b"POST /v1/studies HTTP/1.1\r\nHost: x\r\nContent-Type: application/zip\r\n"
            + f"Authorization: Bearer {self.key}\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        return connection

    def spooled_files(self) -> list[Path]:
        # A folder may go while it is looked at, and walk passes it over, unlike rglob.
        found = os.walk(self.settings.spool_dir)
        return [Path(at, name) for at, _, names in found for name in names if name[-5:] != ".lock"]


@pytest.fixture(scope="module")
def remote(
    engine: Engine,
    postgres_url: str,
    valkey_url: str,
    imported: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Remote]:
    folder = tmp_path_factory.mktemp("server")
    settings = Settings(
        database_url=postgres_url,
        redis_url=valkey_url,
        storage_url=f"file://{folder / 'store'}",
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=folder / "spool",
        max_upload_mb=LARGE_MIB + 64,
        min_free_mb=16,
        weights=str(imported),
        network="ward",
        log_level="WARNING",
    )
    with make_sessions(engine).begin() as session:
        tenant = add_tenant(session, f"server-{uuid4()}")
        key = new_key(session, tenant.name, "test")
    with running_server(settings) as server:
        yield Remote(server, key, settings)


def test_large_archive_costs_little_memory(remote: Remote, tmp_path: Path) -> None:
    archive = write_archive(tmp_path / "large.zip", mib=LARGE_MIB)
    before = remote.server.peak_mib()

    with archive.open("rb") as body:
        status, job = remote.post(body, Content_Length=str(archive.stat().st_size))

    assert status == 202, job
    assert job["slices"]["total"] == 2 * LARGE_MIB
    assert remote.server.peak_mib() - before < MEMORY_MIB
    assert not remote.spooled_files()


def test_large_form_of_many_parts_costs_little_memory(remote: Remote, tmp_path: Path) -> None:
    form = write_form(tmp_path / "large.form", mib=LARGE_MIB, boundary="cut-here")
    before = remote.server.peak_mib()

    with form.open("rb") as body:
        status, job = remote.post(
            body,
            Content_Type="multipart/form-data; boundary=cut-here",
            Content_Length=str(form.stat().st_size),
        )

    assert status == 202, job
    assert job["slices"]["total"] == 2 * LARGE_MIB
    assert remote.server.peak_mib() - before < MEMORY_MIB


def test_upload_of_unknown_length_is_taken(remote: Remote, archive: bytes) -> None:
    chunks = (archive[start : start + 100_000] for start in range(0, len(archive), 100_000))

    status, job = remote.post(chunks)

    assert status == 202, job


def test_upload_of_unknown_length_is_counted(remote: Remote) -> None:
    limit = remote.settings.max_upload_mb

    status, problem = remote.post(bytes(MIB) for _ in range(limit + 2))

    assert (status, problem["code"]) == (413, "upload_too_large")


def test_upload_over_the_limit_is_refused_at_once(remote: Remote) -> None:
    begun = time.monotonic()

    with remote.begin((remote.settings.max_upload_mb + 1) * MIB) as connection:
        status, problem = _answer(connection)

    assert (status, problem["code"]) == (413, "upload_too_large")
    assert time.monotonic() - begun < 10


def test_upload_that_breaks_off_leaves_nothing_behind(remote: Remote) -> None:
    with remote.begin(10 * MIB) as connection:
        connection.sendall(bytes(3 * MIB))
        _wait_until(lambda: bool(remote.spooled_files()))

    _wait_until(lambda: not remote.spooled_files())


def test_upload_cut_short_is_told_to_who_still_listens(remote: Remote) -> None:
    with remote.begin(10 * MIB) as connection:
        connection.sendall(bytes(MIB))
        connection.shutdown(socket.SHUT_WR)
        status, problem = _answer(connection)

    assert (status, problem["code"]) == (400, "incomplete_upload")
    assert "ended after 1048576 bytes, expected 10485760" in problem["detail"]


def test_others_are_served_while_an_upload_drags_on(remote: Remote) -> None:
    with remote.begin(10 * MIB) as connection:
        connection.sendall(b"slow")

        status, problem = remote.post(b"no zip")

    assert (status, problem["code"]) == (422, "not_a_zip")


def _answer(connection: socket.socket) -> tuple[int, Any]:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def _wait_until(happened: Any, limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)
