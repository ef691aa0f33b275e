# SPDX-License-Identifier: Apache-2.0
"""How fast the API answers, and how much memory a large upload costs; prints JSON.

python -m benchmarks.api [--upload-mib 1024] [--seconds 5]
"""

import argparse
import http.client
import json
import secrets
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.local import embedded_postgres, embedded_valkey
from db.schema import migrate
from db.session import make_engine, make_sessions
from db.tenants import add_tenant, new_key
from hilum.settings import Settings
from tests.api.large import MIB, write_archive
from tests.api.server import Server, running_server

CONNECTIONS = 4
"""Clients that poll at the same time."""


@dataclass(frozen=True)
class Target:
    """A server, and the header that opens it."""

    server: Server
    headers: dict[str, str]

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection of one's own."""
        return http.client.HTTPConnection(urlsplit(self.server.url).netloc, timeout=600)

    def send(self, archive: Path) -> dict[str, Any]:
        """Send a study and return its job."""
        connection = self.connect()
        headers = self.headers | {"Content-Type": "application/zip"}
        with archive.open("rb") as body:
            connection.request("POST", "/v1/studies", body, headers, encode_chunked=False)
            answer = connection.getresponse()
            document: dict[str, Any] = json.loads(answer.read())
        if answer.status != http.client.ACCEPTED:
            raise SystemExit(f"The upload was answered with {answer.status}: {document}")
        return document


def measure(*, upload_mib: int, seconds: float) -> dict[str, Any]:
    """Run a server of its own and measure it."""
    with target() as (there, folder):
        job = there.send(write_archive(folder / "small.zip", mib=2))
        return {
            "status": measure_status(there, job["links"]["self"], seconds),
            "upload": measure_upload(there, folder, upload_mib),
        }


def measure_status(there: Target, path: str, seconds: float) -> dict[str, float]:
    """Poll one job over a few kept connections for some seconds."""
    taken_s: list[float] = []
    until = time.perf_counter() + seconds
    threads = [
        threading.Thread(target=_poll, args=(there, path, until, taken_s))
        for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    slowest = statistics.quantiles(taken_s, n=100)
    return {
        "requests_per_s": round(len(taken_s) / seconds, 1),
        "median_ms": round(1000 * statistics.median(taken_s), 2),
        "p99_ms": round(1000 * slowest[98], 2),
    }


def _poll(there: Target, path: str, until: float, taken_s: list[float]) -> None:
    connection = there.connect()
    while (begun := time.perf_counter()) < until:
        connection.request("GET", path, headers=there.headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"The status was answered with {answer.status}.")
        taken_s.append(time.perf_counter() - begun)


def measure_upload(there: Target, folder: Path, mib: int) -> dict[str, float]:
    """Send one large study and see what the worker's memory grew by."""
    archive = write_archive(folder / "large.zip", mib=mib)
    before = there.server.peak_mib()
    begun = time.perf_counter()
    there.send(archive)
    taken_s = time.perf_counter() - begun
    return {
        "mib": archive.stat().st_size // MIB,
        "seconds": round(taken_s, 1),
        "memory_before_mib": round(before, 1),
        "memory_growth_mib": round(there.server.peak_mib() - before, 1),
    }


@contextmanager
def target() -> Iterator[tuple[Target, Path]]:
    """Yield a server with real backends, and a folder to work in."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hilum-bench-")))
        settings = Settings(
            database_url=stack.enter_context(embedded_postgres(folder / "postgres")),
            redis_url=stack.enter_context(embedded_valkey(folder / "valkey")),
            storage_url=f"file://{folder / 'store'}",
            spool_dir=folder / "spool",
            secret_key=secrets.token_hex(),
            log_level="WARNING",
        )
        engine = make_engine(settings.database_url)
        migrate(engine)
        with make_sessions(engine).begin() as session:
            key = new_key(session, add_tenant(session, "bench").name, "bench")
        engine.dispose()
        server = stack.enter_context(running_server(settings))
        yield Target(server, {"Authorization": f"Bearer {key}"}), folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upload-mib", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=5.0)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
