"""A real web server with a real database and queue behind it; no worker, so that jobs stay put."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs
from werkzeug.serving import make_server

from api import create_app
from api.parts import EXTENSION
from api.streams.hub import Hub
from cli.client import Client
from cli.main import hilum
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import new_key
from hilum.phantom import Phantom, make_phantom
from hilum.settings import Settings

Command = Callable[..., Result]
"""`hilum` with these arguments, and what came of it."""


@dataclass(frozen=True)
class Server:
    url: str
    key: str
    streams: Hub


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `hilum` with the settings of the test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("database_url", "redis_url", "storage_url", "secret_key", "spool_dir"):
        monkeypatch.setenv(f"HILUM_{name.upper()}", str(getattr(settings, name)))
    return lambda *arguments: CliRunner().invoke(hilum, [str(each) for each in arguments])


@pytest.fixture
def server(settings: Settings, sessions: Sessions, tenant: TenantRow) -> Iterator[Server]:
    with sessions.begin() as session:
        key = new_key(session, tenant.name, "tests")
    app = create_app(settings)
    http = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    # In production the server's log is another process's; here it would mix with results.
    with capture_logs():
        yield Server(f"http://127.0.0.1:{http.server_port}", key, app.extensions[EXTENSION].streams)
    http.shutdown()
    thread.join()
    # Whoever still listens must be let go: the server waits for its threads.
    app.extensions[EXTENSION].close()
    http.server_close()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = Client(server.url, server.key)
    yield client
    client.close()


@cache
def small_chest() -> Phantom:
    """Return the chest of `small_study`; never write to it."""
    return make_phantom(slices=12, size_px=96, lesions=())


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom chest, coarse enough to be made and sent in a moment."""
    folder = tmp_path_factory.mktemp("study")
    small_chest().write_dicom(folder)
    return folder
