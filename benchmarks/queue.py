# SPDX-License-Identifier: Apache-2.0
"""From submit to running on an idle worker: real PostgreSQL, real broker, real Celery worker.

The jobs are of an empty study, so that each ends in the moment after it was taken.

    python -m benchmarks.queue [JOBS]
"""

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from cli.local import embedded_postgres, embedded_valkey
from db.jobs import submit_job
from db.schema import migrate
from db.session import Sessions, make_engine, make_sessions
from db.studies import add_study
from db.tables import JobRow
from db.tenants import add_tenant
from hilum.jobs import Priority
from hilum.settings import Settings
from hilum.study import Study
from worker.celery import make_app
from worker.doorbell import Doorbell

PAUSE_S = 0.05
"""Between two jobs, so that the worker is idle again."""


def main(jobs: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = Settings(
            database_url=stack.enter_context(embedded_postgres(folder / "postgres")),
            redis_url=stack.enter_context(embedded_valkey(folder / "valkey")),
            storage_url=f"file://{folder}/store",
            secret_key=secrets.token_urlsafe(32),
            spool_dir=folder / "spool",
        )
        engine = make_engine(settings.database_url)
        stack.callback(engine.dispose)
        migrate(engine)
        sessions, bell = make_sessions(engine), Doorbell(make_app(settings))
        stack.enter_context(worker(settings, folder / "worker.log"))
        # The first waits for the worker to load its network.
        waits_ms = [submit_and_wait(sessions, bell) for _ in range(jobs + 1)][1:]
    outcome = {
        "benchmark": "submit to running",
        "jobs": jobs,
        "median_ms": round(statistics.median(waits_ms), 1),
        "p95_ms": round(statistics.quantiles(waits_ms, n=20)[-1], 1),
        "longest_ms": round(max(waits_ms), 1),
    }
    print(json.dumps(outcome))


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[None]:
    values = settings.model_dump(mode="json")
    environment = {f"HILUM_{name.upper()}": str(value) for name, value in values.items()}
    command = [sys.executable, "-m", "celery", "--app", "worker.app", "worker"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - Celery, with our own arguments
            command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
    with process:
        try:
            yield
        finally:
            process.terminate()


def submit_and_wait(sessions: Sessions, bell: Doorbell) -> float:
    """Return the milliseconds from the submission of a job to its claim."""
    with sessions.begin() as session:
        tenant = add_tenant(session, uuid4().hex)
        study = add_study(
            session,
            study_id=uuid4(),
            tenant_id=tenant.id,
            study=Study("1.2", "", ()),
            files={},
            content_sha256=uuid4().hex,
        )
    time.sleep(PAUSE_S)
    with sessions.begin() as session:
        job, _ = submit_job(
            session,
            tenant_id=tenant.id,
            study_id=study.id,
            pipeline="ct-lesions",
            network="resnet50",
            priority=Priority.STAT,
            slice_count=1,
            idempotency_key=None,
            callback_url=None,
        )
    bell.ring()
    while (ended := _ended(sessions, job)) is None:
        time.sleep(PAUSE_S)
    return 1000.0 * ended


def _ended(sessions: Sessions, job: JobRow) -> float | None:
    with sessions.begin() as session:
        row = session.get_one(JobRow, job.id)
        if row.started_at is None or not row.is_final:
            return None
        return (row.started_at - row.created_at).total_seconds()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
