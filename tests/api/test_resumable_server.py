"""A real client of tus before the real server, over links that break at any byte."""

import io
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tusclient.client import TusClient
from tusclient.uploader import Uploader

from db.session import make_sessions
from db.tenants import add_tenant, new_key
from hilum.settings import Settings
from tests.api.pieces import CHUNK_TYPE, TUS, UPLOADS
from tests.api.server import Server, running_server

EXAMPLES = 10
SLOW_S = 60.0
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of a connection that ends by RST, as where a router lost it."""


@dataclass(frozen=True)
class Ward:
    """A hospital before a server.

    Attributes:
        job: address of the job that the study has through `POST /v1/studies`.
    """

    server: Server
    key: str
    archive: bytes
    job: str

    @property
    def headers(self) -> dict[str, str]:
        return TUS | {"Authorization": f"Bearer {self.key}"}

    def uploader(self, **options: Any) -> Uploader:
        client = TusClient(f"{self.server.url}{UPLOADS}", {"Authorization": f"Bearer {self.key}"})
        return client.uploader(
            file_stream=io.BytesIO(self.archive),
            metadata={"filename": "chest.zip", "filetype": "application/zip"},
            **options,
        )

    def announce(self) -> str:
        own = self.headers | {"Upload-Length": str(len(self.archive))}
        answer = httpx.post(f"{self.server.url}{UPLOADS}", headers=own)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def head(self, path: str) -> httpx.Headers:
        answer = httpx.head(f"{self.server.url}{path}", headers=self.headers)
        assert answer.status_code == 200
        return answer.headers

    def request(self, path: str, offset: int) -> bytes:
        """Return everything that a client would send from an offset on."""
        body = self.archive[offset:]
        lines = [
            f"PATCH {path} HTTP/1.1",
            "Host: x",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            f"Upload-Offset: {offset}",
            f"Content-Type: {CHUNK_TYPE}",
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def send(self, data: bytes, *, reset: bool) -> None:
        """Send bytes, and leave without waiting for an answer."""
        parts = urlsplit(self.server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=SLOW_S) as link:
            link.sendall(data)
            if reset:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def go_on(self, path: str) -> str:
        """Send what is missing as one piece; returns the job."""
        answers: list[httpx.Response] = []

        def is_taken() -> bool:
            offset = int(self.head(path)["Upload-Offset"])
            own = {"Upload-Offset": str(offset), "Content-Type": CHUNK_TYPE}
            answer = httpx.patch(
                f"{self.server.url}{path}",
                headers=self.headers | own,
                content=self.archive[offset:],
                timeout=SLOW_S,
            )
            answers.append(answer)
            # The piece before may still be under way, though its client has gone.
            return answer.status_code not in {409, 423}

        wait_until(is_taken)
        assert answers[-1].status_code == 204, answers[-1].text
        return answers[-1].headers["Hilum-Job"]


@pytest.fixture(scope="module")
def ward(
    engine: Engine,
    postgres_url: str,
    valkey_url: str,
    imported: Path,
    archive: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("server")
    settings = Settings(
        database_url=postgres_url,
        redis_url=valkey_url,
        storage_url=f"file://{folder / 'store'}",
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=folder / "spool",
        min_free_mb=16,
        weights=str(imported),
        network="ward",
        log_level="WARNING",
    )
    with make_sessions(engine).begin() as session:
        tenant = add_tenant(session, f"ward-{uuid4()}")
        key = new_key(session, tenant.name, "test")
    with running_server(settings) as server:
        own = {"Authorization": f"Bearer {key}", "Content-Type": "application/zip"}
        whole = httpx.post(f"{server.url}/v1/studies", headers=own, content=archive, timeout=SLOW_S)
        yield Ward(server, key, archive, whole.headers["Location"])


def wait_until(happened: Callable[[], bool], limit_s: float = SLOW_S) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def job_of(uploader: Uploader) -> str:
    job: str = uploader.request.response_headers["hilum-job"]
    return job


@pytest.mark.parametrize("upload_checksum", [False, True])
def test_client_of_tus_goes_on_where_it_was_interrupted(
    ward: Ward, *, upload_checksum: bool
) -> None:
    options = {"chunk_size": 150_000, "upload_checksum": upload_checksum}
    first = ward.uploader(**options)
    first.upload(stop_at=450_000)

    second = ward.uploader(url=first.url, **options)
    begun_at = second.offset
    second.upload()

    assert begun_at == 450_000
    assert second.offset == len(ward.archive)
    assert job_of(second) == ward.job


def test_client_of_tus_outlasts_the_death_of_the_server(ward: Ward) -> None:
    uploader = ward.uploader(chunk_size=300_000, retries=20, retry_delay=1)
    uploader.upload_chunk()

    os.kill(ward.server.worker_pid, signal.SIGKILL)
    uploader.upload()

    assert job_of(uploader) == ward.job


@settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
@given(cuts=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=4))
def test_interruption_at_any_byte_resumes(ward: Ward, cuts: list[tuple[float, bool]]) -> None:
    path, sent = ward.announce(), 0

    for share, reset in cuts:
        offset = int(ward.head(path)["Upload-Offset"])
        request = ward.request(path, offset)
        # Headers too are a place to break off in, and so is the end, before the answer.
        cut = round(share * len(request))
        ward.send(request[:cut], reset=reset)
        sent = max(sent, offset + cut - request.index(b"\r\n\r\n") - 4)

    assert 0 <= int(ward.head(path)["Upload-Offset"]) <= max(sent, 0)
    assert ward.go_on(path) == ward.job
    assert ward.head(path)["Hilum-Job"] == ward.job


def test_every_byte_that_came_before_the_end_is_kept(ward: Ward) -> None:
    path, count = ward.announce(), 123_456
    request = ward.request(path, 0)
    body_at = request.index(b"\r\n\r\n") + 4

    ward.send(request[: body_at + count], reset=False)

    wait_until(lambda: int(ward.head(path)["Upload-Offset"]) == count)


def test_bytes_outlast_a_server_that_is_killed_while_they_come(ward: Ward) -> None:
    path, count = ward.announce(), 500_000
    request = ward.request(path, 0)
    parts = urlsplit(ward.server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=SLOW_S) as link:
        link.sendall(request[:count])
        wait_until(lambda: int(ward.head(path)["Upload-Offset"]) > count // 2)

        os.kill(ward.server.worker_pid, signal.SIGKILL)

    assert ward.go_on(path) == ward.job


def test_upload_is_locked_for_as_long_as_its_link_seems_to_live(ward: Ward) -> None:
    path = ward.announce()
    own = {"Upload-Offset": "0", "Content-Type": CHUNK_TYPE}
    parts = urlsplit(ward.server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=SLOW_S) as link:
        link.sendall(ward.request(path, 0)[:100_000])
        wait_until(lambda: int(ward.head(path)["Upload-Offset"]) > 0)

        locked = httpx.patch(f"{ward.server.url}{path}", headers=ward.headers | own, content=b"x")

    assert (locked.status_code, locked.json()["code"]) == (423, "upload_locked")
    assert ward.go_on(path) == ward.job
