"""The system under test: servers that can be killed and come back, processes that are restarted."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Lock, Thread

import httpx
import redis
from sqlalchemy import Engine

from cli.local import embedded_postgres, embedded_valkey
from db.schema import migrate
from db.session import Sessions, make_engine, make_sessions
from db.workers import count_live
from hilum.errors import ConfigurationError
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.worker.processes import ROOT, environment

WORKERS = 3
BEATS = 2
LEASE_S = 6
MAX_ATTEMPTS = 6

DISK_MARGIN_MB = 6144
"""So far is the disk from being full: more than a long run writes."""


class Server:
    """A server at one address that may be killed and started again."""

    def __init__(
        self, open_it: Callable[[], AbstractContextManager[str]], find_pid: Callable[[], int]
    ) -> None:
        self._open, self._find_pid = open_it, find_pid
        self._stack = ExitStack()
        self.url = self._stack.enter_context(open_it())

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._stack.close()

    def kill(self) -> None:
        """End it without a word."""
        os.kill(self._find_pid(), signal.SIGKILL)
        self._stack.close()

    def start(self) -> None:
        """Start it again where it was."""
        give_up = time.monotonic() + 60
        while True:
            try:
                self._stack.enter_context(self._open())
            except ConfigurationError:
                # Children of a killed PostgreSQL hold its memory for a moment.
                assert time.monotonic() < give_up
                time.sleep(0.2)
            else:
                return


@dataclass
class Kept:
    """A process that is started again when it dies, as an orchestrator does."""

    name: str
    argv: Sequence[str]
    env: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    def watch(self) -> None:
        if self.process is not None and self.process.poll() is None:
            return
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.argv, env=self.env, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )
        self.starts += 1

    def signal(self, number: int) -> None:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def end(self) -> None:
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Town:
    """Everything that can be broken.

    Attributes:
        settings: of the system.
        postgres, valkey: its servers.
        engine, sessions: an observer's own way into the database.
        store: studies and results.
        kept: its processes.
        url: of its API.
        ballast: a file that fills the disk while it is there.
    """

    settings: Settings
    postgres: Server
    valkey: Server
    engine: Engine
    sessions: Sessions
    store: StudyStore
    url: str
    ballast: Path
    kept: list[Kept] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def those(self, name: str) -> list[Kept]:
        return [one for one in self.kept if one.name == name]

    def broker(self) -> redis.Redis:
        return redis.Redis.from_url(self.settings.redis_url)


@contextmanager
def running_town(folder: Path, *, disk_margin_mb: int | None = None) -> Iterator[Town]:
    """Run the whole system for the length of a `with` block.

    Args:
        folder: for its data and logs.
        disk_margin_mb: so far is the disk from being full; None where it never is.
    """
    with ExitStack() as stack:
        sockets = Path(stack.enter_context(TemporaryDirectory(prefix="hilum-chaos-")))
        postgres, valkey = _servers(folder, sockets)
        stack.callback(valkey.stop)
        stack.callback(postgres.stop)
        engine = make_engine(postgres.url)
        stack.callback(engine.dispose)
        migrate(engine)
        settings = Settings(
            database_url=postgres.url,
            redis_url=valkey.url,
            storage_url=f"file://{folder / 'store'}",
            secret_key="0123456789abcdef0123456789abcdef",
            spool_dir=folder / "spool",
            device="cpu",
            threads=1,
            min_free_mb=_reserve_mb(folder, disk_margin_mb),
            lease_s=LEASE_S,
            max_attempts=MAX_ATTEMPTS,
            log_level="WARNING",
        )
        port = _free_port()
        town = Town(
            settings=settings,
            postgres=postgres,
            valkey=valkey,
            engine=engine,
            sessions=make_sessions(engine),
            store=StudyStore.open(settings.storage_url),
            url=f"http://127.0.0.1:{port}",
            ballast=folder / "ballast",
            kept=_processes(settings, port, folder),
        )
        stack.enter_context(_kept_alive(town))
        _wait_for_api(town)
        _wait_for_workers(town)
        yield town


def _servers(folder: Path, sockets: Path) -> tuple[Server, Server]:
    data, queue = folder / "postgres", folder / "valkey"

    def postgres_pid() -> int:
        return int((data / "data" / "postmaster.pid").read_text().split()[0])

    def valkey_pid() -> int:
        with redis.Redis.from_url(valkey.url) as client:
            return int(client.info("server")["process_id"])

    postgres = Server(partial(embedded_postgres, data, sockets=sockets), postgres_pid)
    urls: list[str] = []

    @contextmanager
    def at_one_address() -> Iterator[str]:
        with embedded_valkey(queue, url=urls[0] if urls else None) as url:
            urls[:] = [url]
            yield url

    valkey = Server(at_one_address, valkey_pid)
    return postgres, valkey


def _processes(settings: Settings, port: int, folder: Path) -> list[Kept]:
    env = {**os.environ, **environment(settings), "REMAP_SIGTERM": "SIGQUIT"}
    python = sys.executable
    worker = [python, "-m", "celery", "--app=tests.chaos.worker", "worker"]
    worker += ["--without-gossip", "--without-mingle"]
    api = [python, "-m", "gunicorn", "-c", "python:api.gunicorn_conf", "api.wsgi:app"]
    api += [f"--bind=127.0.0.1:{port}", "--workers=1"]
    commands = {
        "worker": (worker, WORKERS),
        "beat": ([python, "-m", "cli", "beat"], BEATS),
        "api": (api, 1),
    }
    return [
        Kept(name, argv, env, folder / f"{name}-{number}.log")
        for name, (argv, count) in commands.items()
        for number in range(count)
    ]


@contextmanager
def _kept_alive(town: Town) -> Iterator[None]:
    over = Event()

    def watch() -> None:
        while not over.wait(0.1):
            for one in town.kept:
                one.watch()

    keeper = Thread(target=watch, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        for one in town.kept:
            # What is stopped hears nothing else.
            one.signal(signal.SIGCONT)
            one.end()


def _wait_for_api(town: Town) -> None:
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        with suppress(httpx.HTTPError):
            httpx.get(f"{town.url}/health/live").raise_for_status()
            return
        time.sleep(0.1)
    raise AssertionError("The API did not answer.")


def _wait_for_workers(town: Town) -> None:
    # Loading torch takes a while, and faults that meet no worker prove nothing.
    give_up = time.monotonic() + 300
    while time.monotonic() < give_up:
        with town.sessions.begin() as session:
            if count_live(session) >= WORKERS:
                return
        time.sleep(0.2)
    raise AssertionError("The workers did not start.")


def _reserve_mb(folder: Path, margin_mb: int | None) -> int:
    return 16 if margin_mb is None else max(16, _free_mb(folder) - margin_mb)


def _free_mb(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize // 1024**2


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
