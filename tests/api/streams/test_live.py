"""Streams of the real server: what is heard while jobs run, and that streams starve nobody."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine

from db.changes import cancel_job
from db.claims import Claim, fail_job, report_progress
from db.session import Sessions, make_sessions
from db.steps import record
from db.tables import JobRow, TenantRow
from db.tenants import add_tenant, new_key
from hilum.jobs import Stage
from hilum.settings import Settings
from tests.api.listening import listening
from tests.api.server import Server, running_server
from tests.db.factories import claim, queue_job

STREAMS = 4
SHARE = 3
"""Of one hospital."""


@dataclass(frozen=True)
class Remote:
    """A server with a hospital that may call it."""

    server: Server
    tenant: TenantRow
    key: str
    sessions: Sessions

    @property
    def everything(self) -> str:
        return f"{self.server.url}/v1/stream"

    def stream_of(self, job: JobRow) -> str:
        return f"{self.server.url}/v1/jobs/{job.id}/stream"

    def queue(self) -> JobRow:
        with self.sessions.begin() as session:
            return queue_job(session, self.tenant.id)

    def run(self, job: JobRow) -> Claim:
        with self.sessions.begin() as session:
            return claim(session, job)

    def fail(self, held: Claim) -> None:
        with self.sessions.begin() as session:
            fail_job(session, held, "missing_slices", "Slices are missing.")

    def cancel(self, job: JobRow) -> None:
        with self.sessions.begin() as session:
            cancel_job(session, self.tenant.id, job.id)

    def record(self, job: JobRow, *names: str, **detail: str) -> None:
        with self.sessions.begin() as session:
            for name in names:
                record(session, job.id, name, detail)

    def get(self, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.get(self.server.url + path, headers=headers, timeout=30)

    def is_let_in(self, stack: ExitStack) -> bool:
        """Open one more stream, to be closed with the stack; tell whether there was room."""
        headers = {"Authorization": f"Bearer {self.key}"}
        stream = httpx.stream("GET", self.everything, headers=headers, timeout=30)
        return stack.enter_context(stream).status_code == 200

    @contextmanager
    def full(self) -> Iterator[None]:
        """Take every stream a hospital may have, as soon as it is free, for a `with` block."""
        with ExitStack() as stack:
            for _ in range(SHARE):
                wait_until(lambda: self.is_let_in(stack))
            yield

    def open_deaf(self) -> socket.socket:
        """Open a stream, as soon as there is room, on a connection that holds little."""
        for _ in range(100):
            deaf = self._ask()
            if deaf.recv(12) == b"HTTP/1.1 200":
                return deaf
            deaf.close()
            time.sleep(0.1)
        raise AssertionError

    def _ask(self) -> socket.socket:
        address = urlsplit(self.server.url)
        assert address.hostname is not None
        assert address.port is not None
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect((address.hostname, address.port))
        deaf.sendall(
            b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n"
            + f"Authorization: Bearer {self.key}\r\n\r\n".encode()
        )
        return deaf


@pytest.fixture(scope="module")
def configured(
    postgres_url: str, valkey_url: str, imported: Path, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    folder = tmp_path_factory.mktemp("server")
    return Settings(
        database_url=postgres_url,
        redis_url=valkey_url,
        storage_url=f"file://{folder / 'store'}",
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=folder / "spool",
        min_free_mb=16,
        weights=str(imported),
        network="ward",
        log_level="WARNING",
        streams=STREAMS,
    )


@pytest.fixture(scope="module")
def remote(engine: Engine, configured: Settings) -> Iterator[Remote]:
    sessions = make_sessions(engine)
    with sessions.begin() as session:
        tenant = add_tenant(session, f"streams-{uuid4()}")
        key = new_key(session, tenant.name, "test")
    with running_server(configured) as server:
        yield Remote(server, tenant, key, sessions)


def wait_until(happened: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_job_is_heard_of_from_the_queue_to_its_end(remote: Remote) -> None:
    job = remote.queue()
    heard = []

    with listening(remote.stream_of(job), remote.key) as ear:
        for event in ear.events():
            heard.append(event)
            if len(heard) == 1:
                held = remote.run(job)
            elif event.data["stage"] is None:
                with remote.sessions.begin() as session:
                    report_progress(session, held, Stage.SLICES, 5, 10, lease_s=60)
            elif event.data["state"] == "running":
                remote.fail(held)

    states = [event.data["state"] for event in heard]
    assert (states[0], states[-1]) == ("queued", "failed")
    assert {event.name for event in heard} == {"job"}
    assert any(event.data["slices"] == {"done": 5, "total": 10} for event in heard)
    assert [event.id for event in heard if event.id] == ["failed"]


def test_running_job_is_told_of_at_least_once_a_second_although_nothing_changes(
    remote: Remote,
) -> None:
    job = remote.queue()
    held = remote.run(job)

    with listening(remote.stream_of(job), remote.key) as ear:
        events = list(islice(ear.events(), 8))
    remote.fail(held)

    gaps = [after.at - before.at for before, after in pairwise(events)]
    # Half a second each; a machine that is busy with other tests may be late once.
    assert sorted(gaps)[-2] < 1.0


def test_waiting_job_hears_that_its_place_has_changed(remote: Remote) -> None:
    first, second = remote.queue(), remote.queue()

    with listening(remote.stream_of(second), remote.key) as ear:
        events = ear.events()
        before = next(events).data["queue_position"]
        remote.cancel(first)
        after = next(events).data["queue_position"]
    remote.cancel(second)

    assert before - after == 1


def test_hospital_hears_what_happens_to_all_its_jobs_and_to_no_others(remote: Remote) -> None:
    with listening(remote.everything, remote.key) as ear:
        events = ear.events()
        with remote.sessions.begin() as session:
            queue_job(session, add_tenant(session, f"elsewhere-{uuid4()}").id)
        job = remote.queue()
        submitted = next(events)
        held = remote.run(job)
        running, progress = next(events), next(events)
        remote.fail(held)
        failed = next(event for event in events if event.name != "progress")

    heard = [submitted, running, progress, failed]
    assert [event.name for event in heard] == ["submitted", "running", "progress", "failed"]
    assert {event.data["job_id"] for event in heard} == {str(job.id)}
    assert submitted.data["detail"] == {"priority": "routine"}
    assert (progress.id, progress.data["fraction"]) == (None, 0.0)
    ids = [int(event.id) for event in heard if event.id is not None]
    assert len(ids) == 3
    assert ids == sorted(ids)


def test_client_that_comes_again_hears_what_it_missed_once_each(remote: Remote) -> None:
    with listening(remote.everything, remote.key) as ear:
        job = remote.queue()
        last = next(ear.events())

    remote.record(job, "missed-1", "missed-2", "missed-3")
    with listening(remote.everything, remote.key, last=last.id) as ear:
        events = ear.events()
        missed = [next(events).name for _ in range(3)]
        remote.cancel(job)
        after = next(events).name

    assert (last.name, last.data["job_id"]) == ("submitted", str(job.id))
    assert missed == ["missed-1", "missed-2", "missed-3"]
    assert after == "cancelled"


def test_what_happens_as_soon_as_a_stream_is_open_is_heard(remote: Remote) -> None:
    for _ in range(5):
        with listening(remote.everything, remote.key) as ear:
            job = remote.queue()
            assert next(ear.events()).data["job_id"] == str(job.id)
        remote.cancel(job)


def test_id_that_is_yet_to_come_hides_nothing(remote: Remote) -> None:
    with listening(remote.everything, remote.key, last=str(2**62)) as ear:
        job = remote.queue()
        assert next(ear.events()).data["job_id"] == str(job.id)
    remote.cancel(job)


def test_event_that_was_committed_late_is_heard_before_the_later_one(remote: Remote) -> None:
    with listening(remote.everything, remote.key) as ear:
        job = remote.queue()
        events = ear.events()
        next(events)
        with remote.sessions() as late:
            record(late, job.id, "lower")
            late.flush()
            remote.record(job, "higher")
            time.sleep(1.5)
            late.commit()
        heard = [next(events).name for _ in range(2)]
    remote.cancel(job)

    assert heard == ["lower", "higher"]


def test_streams_take_no_threads_from_other_requests(remote: Remote) -> None:
    with remote.full():
        answers = [remote.get("/v1/jobs").status_code for _ in range(20)]
        refused = remote.get("/v1/stream")

    assert answers == [200] * 20
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
    assert int(refused.headers["Retry-After"]) > 0


def test_clients_that_go_away_are_not_counted_for_long(remote: Remote) -> None:
    begun = time.monotonic()

    for _ in range(3):
        with remote.full():
            pass

    # The next heartbeat but one would find out too, and take half a minute.
    assert time.monotonic() - begun < 20


def test_client_that_does_not_read_is_dropped(remote: Remote) -> None:
    job = remote.queue()
    with remote.open_deaf() as deaf:
        for _ in range(6):
            remote.record(job, *["noise"] * 100, padding="x" * 20_000)
            time.sleep(0.6)

        with remote.full():
            pass

        assert _is_cut_short(deaf)
    remote.cancel(job)


def _is_cut_short(connection: socket.socket) -> bool:
    connection.settimeout(30)
    end = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(1 << 20):
            end = (end + data)[-5:]
    return end != b"0\r\n\r\n"


def test_streams_end_when_the_server_is_stopped(engine: Engine, configured: Settings) -> None:
    sessions = make_sessions(engine)
    with sessions.begin() as session:
        tenant = add_tenant(session, f"stopped-{uuid4()}")
        key = new_key(session, tenant.name, "test")
        job = queue_job(session, tenant.id)
    heard: list[str] = []

    def listen(url: str) -> None:
        with listening(url, key) as ear:
            heard.append("open")
            heard.extend(event.name for event in ear.events())
        heard.append("ended")

    with running_server(configured) as server:
        threads = [
            Thread(target=listen, args=(f"{server.url}{path}",))
            for path in (f"/v1/jobs/{job.id}/stream", "/v1/stream")
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: heard.count("open") == 2)
        begun = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        for thread in threads:
            thread.join(20)

    assert heard.count("ended") == 2
    assert time.monotonic() - begun < 15
