import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from db.session import Sessions
from db.tables import JobRow, TenantRow
from hilum.errors import ServerUnreachable
from hilum.settings import Settings
from tests.db.factories import finished_job, queue_job
from worker.callback import call_back

Server = Callable[[int], tuple[str, list[dict[str, Any]]]]


@pytest.fixture
def client_server() -> Iterator[Server]:
    """A client's server that answers with one status and keeps what it was sent."""
    servers = []

    def start(status: int) -> tuple[str, list[dict[str, Any]]]:
        received: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                received.append(json.loads(self.rfile.read(length)))
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/done?token=t", received

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def inside(settings: Settings) -> Settings:
    """Settings of an installation whose clients are in its own network."""
    return settings.model_copy(update={"callback_private": True})


def ended(sessions: Sessions, tenant: TenantRow, url: str | None) -> JobRow:
    with sessions.begin() as session:
        return finished_job(session, tenant.id, callback_url=url)


def test_client_is_sent_the_job_that_ended(
    client_server: Server, sessions: Sessions, tenant: TenantRow, inside: Settings
) -> None:
    url, received = client_server(204)
    job = ended(sessions, tenant, url)

    call_back(job.id, sessions, inside)

    [body] = received
    assert (body["id"], body["state"], body["error"]) == (str(job.id), "succeeded", None)
    assert body["study_uid"] == "1.2.840.1"


@pytest.mark.parametrize("status", [200, 302, 404, 410])
def test_answer_that_will_not_change_is_taken_as_it_is(
    status: int,
    client_server: Server,
    sessions: Sessions,
    tenant: TenantRow,
    inside: Settings,
) -> None:
    url, received = client_server(status)

    call_back(ended(sessions, tenant, url).id, sessions, inside)

    assert len(received) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_server_in_trouble_is_called_again_later(
    status: int,
    client_server: Server,
    sessions: Sessions,
    tenant: TenantRow,
    inside: Settings,
) -> None:
    url, _ = client_server(status)

    with pytest.raises(ServerUnreachable, match=f"answered {status}"):
        call_back(ended(sessions, tenant, url).id, sessions, inside)


def test_server_that_is_not_there_is_called_again_later_and_its_token_told_nobody(
    sessions: Sessions, tenant: TenantRow, inside: Settings
) -> None:
    job = ended(sessions, tenant, "http://127.0.0.1:1/done?token=secret")

    with pytest.raises(ServerUnreachable) as caught:
        call_back(job.id, sessions, inside)

    assert "secret" not in caught.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.7", "169.254.169.254", "[::1]"])
def test_address_inside_the_network_is_not_called(
    host: str,
    client_server: Server,
    sessions: Sessions,
    tenant: TenantRow,
    settings: Settings,
) -> None:
    url, received = client_server(200)
    port = url.split(":")[2].split("/")[0]

    call_back(ended(sessions, tenant, f"http://{host}:{port}/done").id, sessions, settings)

    assert received == []


def test_job_that_runs_on_is_nobodys_news(
    client_server: Server, sessions: Sessions, tenant: TenantRow, inside: Settings
) -> None:
    url, received = client_server(200)
    with sessions.begin() as session:
        waiting = queue_job(session, tenant.id, callback_url=url)

    call_back(waiting.id, sessions, inside)
    call_back(ended(sessions, tenant, None).id, sessions, inside)

    assert received == []
