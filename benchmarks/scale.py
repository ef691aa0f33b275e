# SPDX-License-Identifier: Apache-2.0
"""What many workers share: turns a second from PostgreSQL, and what a message costs Redis.

The jobs are of an empty study, and nobody runs them: a turn is the transaction that takes one.

    python -m benchmarks.scale [TURNS]
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import redis

from cli.local import embedded_postgres, embedded_valkey
from db.jobs import submit_job
from db.schema import migrate
from db.session import Sessions, make_engine, make_sessions
from db.studies import add_study
from db.tenants import add_tenant
from db.turns import Rules, take_turn
from hilum.jobs import Priority
from hilum.settings import Settings
from hilum.study import Study
from worker.celery import make_app
from worker.doorbell import Doorbell

HOSPITALS = 20
WORKERS = (1, 4, 10)
"""How many take turns at the same time; an engine has 15 connections."""

MESSAGES = 10_000
RULES = Rules(ageing_s=1800, stat_share=0.0)


def main(turns: int) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(embedded_postgres(folder / "postgres"))
        broker = stack.enter_context(embedded_valkey(folder / "valkey"))
        engine = make_engine(url)
        stack.callback(engine.dispose)
        migrate(engine)
        sessions = make_sessions(engine)
        fill(sessions, turns * (len(WORKERS) + 1))
        outcome = {
            "benchmark": "turns and messages",
            "turns": [measure_turns(sessions, turns, workers) for workers in WORKERS],
            "bytes_a_message": measure_messages(url, broker),
        }
    print(json.dumps(outcome))


def fill(sessions: Sessions, jobs: int) -> None:
    """Queue jobs of several hospitals."""
    with sessions.begin() as session:
        tenants = [add_tenant(session, uuid4().hex).id for _ in range(HOSPITALS)]
    for number in range(jobs):
        tenant_id = tenants[number % HOSPITALS]
        with sessions.begin() as session:
            study = add_study(
                session,
                study_id=uuid4(),
                tenant_id=tenant_id,
                study=Study("1.2", "", ()),
                files={},
                content_sha256=uuid4().hex,
            )
            submit_job(
                session,
                tenant_id=tenant_id,
                study_id=study.id,
                pipeline="ct-lesions",
                network="resnet50",
                priority=Priority.ROUTINE,
                slice_count=1,
                idempotency_key=None,
                callback_url=None,
            )


def measure_turns(sessions: Sessions, turns: int, workers: int) -> dict[str, float]:
    """Take turns in several threads; return how many a second, and how long one takes."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        took = list(pool.map(lambda _: take(sessions), range(turns)))
    wall_s = time.perf_counter() - begun
    return {"workers": workers, "turns_a_second": round(turns / wall_s)} | milliseconds(took)


def take(sessions: Sessions) -> float:
    """Take one turn; return the seconds."""
    begun = time.perf_counter()
    with sessions.begin() as session:
        claim = take_turn(session, RULES, worker=uuid4().hex, lease_s=600, max_attempts=3)
    if claim is None:
        sys.exit("The queue ran empty.")
    return time.perf_counter() - begun


def milliseconds(took_s: Sequence[float]) -> dict[str, float]:
    return {
        "median_ms": round(1000 * statistics.median(took_s), 1),
        "p95_ms": round(1000 * statistics.quantiles(took_s, n=20)[-1], 1),
    }


def measure_messages(url: str, broker: str) -> int:
    """Return how much memory of Redis a message takes that nobody hears."""
    settings = Settings(
        database_url=url, redis_url=broker, storage_url="file:///nowhere", secret_key="0" * 32
    )
    app = make_app(settings)
    with redis.Redis.from_url(broker) as client:
        before = client.info("memory")["used_memory"]
        Doorbell(app).ring(MESSAGES)
        after = client.info("memory")["used_memory"]
    app.close()
    return round((after - before) / MESSAGES)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
