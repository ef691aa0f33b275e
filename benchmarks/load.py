# SPDX-License-Identifier: Apache-2.0
"""What the queue bears: submissions, finished jobs and polls a second, and 100,000 jobs behind it.

Real PostgreSQL, Valkey, gunicorn and Celery workers, all on this machine, clients included.

    python -m benchmarks.load [--jobs 2000] [--finished 100000] [--without-cases]
"""

import argparse
import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, select, text

from cli.local import embedded_postgres, embedded_valkey
from db.batches import MOST_STUDIES
from db.schema import migrate
from db.session import Sessions, make_engine, make_sessions
from db.tables import JobRow, StudyRow, TenantRow
from db.tenants import add_tenant, new_key
from hilum.jobs import State
from hilum.phantom import make_phantom
from hilum.settings import Settings
from tests.api.server import Server, running_server
from tests.worker.processes import ROOT, environment

CLIENTS = 8
WEB_WORKERS = 2
"""As in docker-compose.yml."""

NOOP_WORKERS = 2
STATUS_RATE = 200.0
"""Requests a second, sent at their time whether or not those before were answered."""

STATUS_S = 15.0
LIST_CALLS = 40


class Client:
    """One connection of a hospital that is kept."""

    def __init__(self, server: Server, key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return what is answered."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, self._headers)
        answer = self._connection.getresponse()
        document = json.loads(answer.read())
        if answer.status >= http.client.BAD_REQUEST:
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {document}")
        return document


def measure(*, jobs: int, finished: int, without_cases: bool) -> dict[str, Any]:
    """Run a system of its own and measure it; `without_cases`, none is kept for lists."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hilum-load-")))
        settings = Settings(
            database_url=stack.enter_context(embedded_postgres(folder / "postgres")),
            redis_url=stack.enter_context(embedded_valkey(folder / "valkey")),
            storage_url=f"file://{folder / 'store'}",
            spool_dir=folder / "spool",
            secret_key=secrets.token_hex(),
            device="cpu",
            threads=1,
            log_level="WARNING",
        )
        engine = make_engine(settings.database_url)
        stack.callback(engine.dispose)
        migrate(engine)
        if without_cases:
            with engine.begin() as connection:
                for table in ("jobs", "reports", "studies"):
                    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER keep_case"))
        sessions = make_sessions(engine)
        with sessions.begin() as session:
            tenant = add_tenant(session, "bench")
            key = new_key(session, tenant.name, "bench")
        server = stack.enter_context(running_server(settings, workers=WEB_WORKERS))
        parts: dict[str, Callable[[], dict[str, float]]] = {
            "submitted_one_by_one": lambda: _submit(sessions, server, key, tenant, jobs),
            "submitted_in_batches": lambda: _submit_batches(sessions, server, key, tenant, jobs),
            "finished": lambda: _finish(sessions, settings, folder, 2 * jobs),
            "status_beside_a_busy_worker": lambda: _poll_beside(settings, server, key, folder),
        }
        outcome: dict[str, Any] = {}
        for name, part in parts.items():
            outcome[name] = part()
            print(f"{name}: {json.dumps(outcome[name])}", file=sys.stderr, flush=True)
        fresh = _calls(sessions, server, key, tenant)
        _fill(sessions, tenant, finished)
        full = _calls(sessions, server, key, tenant)
        return outcome | {
            "median_ms": {"those_jobs": fresh, f"{finished}_more": full},
            "ratio": _ratio(fresh, full),
        }


def _ratio(few: dict[str, float], many: dict[str, float]) -> dict[str, float]:
    return {name: round(many[name] / few[name], 2) for name in few}


# ── Submitting and finishing ──────────────────────────────────────────────────────────────────


def _submit(
    sessions: Sessions, server: Server, key: str, tenant: TenantRow, jobs: int
) -> dict[str, float]:
    """Run studies that are stored already, one job each, over a few connections."""
    ids = _add_studies(sessions, tenant, jobs)
    clients = [Client(server, key) for _ in range(CLIENTS)]

    def send(number: int) -> None:
        for study_id in ids[number::CLIENTS]:
            clients[number].ask("POST", "/v1/jobs", {"study_id": str(study_id)})

    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, range(CLIENTS)))
    return {"jobs": jobs, "a_second": round(jobs / (time.perf_counter() - begun), 1)}


def _submit_batches(
    sessions: Sessions, server: Server, key: str, tenant: TenantRow, jobs: int
) -> dict[str, float]:
    """Run studies that are stored already, many by one call."""
    ids = [str(one) for one in _add_studies(sessions, tenant, jobs)]
    client = Client(server, key)
    begun = time.perf_counter()
    for first in range(0, jobs, MOST_STUDIES):
        client.ask("POST", "/v1/batches", {"study_ids": ids[first : first + MOST_STUDIES]})
    return {"jobs": jobs, "a_second": round(jobs / (time.perf_counter() - begun), 1)}


def _finish(sessions: Sessions, settings: Settings, folder: Path, jobs: int) -> dict[str, float]:
    """Have workers take and end them."""
    with ExitStack() as stack:
        for number in range(NOOP_WORKERS):
            stack.enter_context(_worker("benchmarks.noop", settings, folder / f"noop-{number}.log"))
        _until(lambda: _count(sessions) > jobs // 10)
        before, begun = _count(sessions), time.perf_counter()
        _until(lambda: _count(sessions) >= jobs)
        taken_s = time.perf_counter() - begun
    return {"workers": NOOP_WORKERS, "a_second": round((jobs - before) / taken_s, 1)}


def _count(sessions: Sessions) -> int:
    with sessions.begin() as session:
        query = select(func.count()).where(JobRow.state == State.SUCCEEDED)
        return session.scalars(query).one()


# ── Asking ────────────────────────────────────────────────────────────────────────────────────


def _poll_beside(settings: Settings, server: Server, key: str, folder: Path) -> dict[str, float]:
    """Ask for a running job at a steady rate while its worker computes on one core."""
    make_phantom(0).write_dicom(folder / "phantom")
    with zipfile.ZipFile(folder / "study.zip", "w") as archive:
        for path in sorted((folder / "phantom").iterdir()):
            archive.write(path, path.name)
    with _worker("worker.app", settings, folder / "worker.log"):
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/zip"}
        connection.request(
            "POST", "/v1/studies?network=resnet101", (folder / "study.zip").read_bytes(), headers
        )
        path = json.loads(connection.getresponse().read())["links"]["self"]
        asking = Client(server, key)
        _until(lambda: asking.ask("GET", path)["stage"] == "slices")
        taken_ms = _at_rate(server, key, path)
        # The first connection has been idle for longer than the server keeps one.
        was_running = Client(server, key).ask("GET", path)["state"] == State.RUNNING
    slowest = statistics.quantiles(taken_ms, n=100)
    return {
        "a_second": round(len(taken_ms) / STATUS_S, 1),
        "median_ms": round(statistics.median(taken_ms), 2),
        "p99_ms": round(slowest[98], 2),
        "worker_was_busy_to_the_end": was_running,
    }


def _at_rate(server: Server, key: str, path: str) -> list[float]:
    """Return the milliseconds from when each request was due to its answer."""
    begun, every_s = time.perf_counter() + 0.5, CLIENTS / STATUS_RATE

    def poll(number: int) -> list[float]:
        client, taken_ms = Client(server, key), []
        for turn in range(int(STATUS_S / every_s)):
            due = begun + every_s * (turn + number / CLIENTS)
            time.sleep(max(0.0, due - time.perf_counter()))
            client.ask("GET", path)
            taken_ms.append(1000 * (time.perf_counter() - due))
        return taken_ms

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [one for part in pool.map(poll, range(CLIENTS)) for one in part]


def _calls(sessions: Sessions, server: Server, key: str, tenant: TenantRow) -> dict[str, float]:
    """Return the median milliseconds of a status call and of the lists."""
    client = Client(server, key)
    [study_id] = _add_studies(sessions, tenant, 1)
    own = client.ask("POST", "/v1/jobs", {"study_id": str(study_id)})["links"]["self"]
    paths = {"status": own, "list": "/v1/jobs", "filtered": "/v1/jobs?state=succeeded"}
    medians = {name: _median_ms(client, path) for name, path in paths.items()}
    client.ask("DELETE", own)
    return medians


def _median_ms(client: Client, path: str) -> float:
    taken = []
    for _ in range(LIST_CALLS):
        begun = time.perf_counter()
        client.ask("GET", path)
        taken.append(1000 * (time.perf_counter() - begun))
    return round(statistics.median(taken), 2)


# ── Rows and processes ────────────────────────────────────────────────────────────────────────


def _add_studies(sessions: Sessions, tenant: TenantRow, count: int) -> Sequence[UUID]:
    values = {
        "tenant_id": tenant.id,
        "study_uid": "1.2.3",
        "instance_count": 1,
        "size_bytes": 1,
    }
    rows = [StudyRow(**values, content_sha256=secrets.token_hex(32)) for _ in range(count)]
    with sessions.begin() as session:
        session.add_all(rows)
        session.flush()
        return [row.id for row in rows]


def _fill(sessions: Sessions, tenant: TenantRow, count: int) -> None:
    """Add so many jobs that ended over the last months."""
    [study_id] = _add_studies(sessions, tenant, 1)
    with sessions.begin() as session:
        session.execute(
            text(
                "INSERT INTO jobs (id, tenant_id, study_id, pipeline, pipeline_version, network,"
                " priority, state, stage_done, stage_total, fraction, slice_count, attempts,"
                " cancel_requested, timings_s, created_at, queued_at, started_at, finished_at)"
                " SELECT gen_random_uuid(), :tenant, :study, 'ct-lesions', '1.0.0', 'resnet50@' || n,"
                " 'routine', 'succeeded', 1, 1, 1, 100, 1, false, '{}', t, t, t, t + interval '1 minute'"
                " FROM (SELECT n, now() - n * interval '1 minute' AS t"
                "       FROM generate_series(1, :count) AS n)"
            ),
            {"tenant": tenant.id, "study": study_id, "count": count},
        )
    with sessions.begin() as session:
        session.execute(text("ANALYZE jobs"))


@contextmanager
def _worker(app: str, settings: Settings, log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "celery", "--app", app, "worker"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - Celery, with our own arguments
            [*command, "--without-gossip", "--without-mingle"],
            env={**os.environ, **environment(settings), "REMAP_SIGTERM": "SIGQUIT"},
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    with process:
        try:
            yield
        finally:
            process.kill()


def _until(is_so: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 300
    while not is_so():
        if time.monotonic() > give_up:
            raise SystemExit("It did not happen within five minutes.")
        time.sleep(0.05)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--finished", type=int, default=100_000)
    parser.add_argument("--without-cases", action="store_true", help="to see what these cost")
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
