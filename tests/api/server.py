"""The web server as it runs in production: a gunicorn process with one worker."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from hilum.settings import Settings

START_LIMIT_S = 120.0
STOP_LIMIT_S = 60.0


@dataclass(frozen=True)
class Server:
    """A web server that answers.

    Attributes:
        url: where.
        pid: of gunicorn's parent process.
    """

    url: str
    pid: int

    @property
    def worker_pid(self) -> int:
        """Process id of the one worker."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return int(children[0])

    def peak_mib(self) -> float:
        """Largest resident memory that the worker ever had."""
        status = Path(f"/proc/{self.worker_pid}/status").read_text()
        [peak_kib] = re.findall(r"VmHWM:\s+(\d+) kB", status)
        return int(peak_kib) / 1024


@contextmanager
def running_server(settings: Settings, *, workers: int = 1) -> Iterator[Server]:
    """Run gunicorn for the length of a `with` block."""
    port = _free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn_conf"]
    command += ["--bind", f"127.0.0.1:{port}", "--workers", str(workers), "api.wsgi:app"]
    environment = os.environ | {
        f"HILUM_{name.upper()}": str(getattr(settings, name)) for name in Settings.model_fields
    }
    process = subprocess.Popen(command, env=environment)
    try:
        server = Server(f"http://127.0.0.1:{port}", process.pid)
        _wait_until_it_answers(server, process)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_LIMIT_S)


def _wait_until_it_answers(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{server.url}/health/live").raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"gunicorn did not answer, its exit status is {process.poll()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
