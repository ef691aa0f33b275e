# SPDX-License-Identifier: Apache-2.0
"""What the figures of many cases cost PostgreSQL, question by question, as JSON.

The cases lie evenly over a year, of five hospitals, each with a job and a report of an empty study.

    python -m benchmarks.insights [CASES]
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from cli.local import embedded_postgres
from db.agreement import agreements
from db.insights import Asked, cases_by_day, failures, lesion_shares, speeds, waits
from db.schema import migrate
from db.scope import Scope
from db.session import Sessions, make_engine, make_sessions
from db.tables import TenantRow
from hilum.grading import MOSMED

TIMES: Final = 9
"""The median of so many is told."""

PERIODS: Final = (7, 30, 90, 365)

VIENNA: Final = ZoneInfo("Europe/Vienna")

QUESTIONS: Final[dict[str, Callable[[Session, Asked], Any]]] = {
    "cases by day": lambda session, asked: cases_by_day(session, asked, zone=VIENNA),
    "speed": speeds,
    "waits": waits,
    "failures": failures,
    "lesion share": lambda session, asked: lesion_shares(session, asked, MOSMED),
    "agreement": agreements,
}

FILL: Final = (
    """
    INSERT INTO tenants (id, name, created_at)
    SELECT gen_random_uuid(), 'hospital-' || number, now() FROM generate_series(1, 5) number
    """,
    """
    INSERT INTO studies (id, tenant_id, study_uid, content_sha256, instance_count, size_bytes,
        created_at)
    SELECT gen_random_uuid(), tenants.id, '1.2.' || number, md5(number::text), 100, 1,
        now() - interval '365 days' * number / :cases
    FROM generate_series(1, :cases) number
    JOIN tenants ON tenants.name = 'hospital-' || 1 + number % 5
    """,
    """
    INSERT INTO jobs (id, tenant_id, study_id, pipeline, pipeline_version, network, priority, state,
        stage_done, stage_total, fraction, slice_count, attempts, cancel_requested, worker,
        error_code, timings_s, created_at, queued_at, started_at, finished_at)
    SELECT gen_random_uuid(), tenant_id, id, 'ct-lesions', '2.0.0',
        (ARRAY['resnet50@4.0.0', 'resnet101@4.0.0'])[1 + floor(random() * 2)::int],
        (ARRAY['stat', 'routine', 'bulk'])[1 + floor(random() * 3)::int],
        CASE WHEN random() < 0.03 THEN 'failed' ELSE 'succeeded' END, 0, 0, 1, 100, 1, false,
        'gpu-' || floor(random() * 4)::int,
        (ARRAY['missing_slices', 'not_axial', 'gpu_memory'])[1 + floor(random() * 3)::int], '{}',
        created_at, created_at, created_at + random() * interval '300 s',
        created_at + interval '330 s'
    FROM studies ORDER BY created_at
    """,
    """
    INSERT INTO reports (id, job_id, tenant_id, study_id, pipeline, pipeline_version, network,
        network_sha256, code_version, thresholds, verdict, grade, review, lesion_share, lesion_ml,
        lung_ml, seconds_per_slice, worker, device, document, created_at)
    SELECT gen_random_uuid(), id, tenant_id, study_id, pipeline, '2.0.0', network,
        repeat('c', 64), '0.1.0', 'mosmed-2026.1',
        (ARRAY['Mild', 'Alarming', 'No finding'])[1 + floor(random() * 3)::int], 'CT-1', false,
        power(random(), 3), 400, 4000, 0.2 + random() / 3, worker, 'cuda:0',
        jsonb_build_object('padding', repeat('x', 1000)), finished_at
    FROM jobs WHERE state = 'succeeded' ORDER BY created_at
    """,
    """
    INSERT INTO users (id, name, failures, created_at)
    VALUES (gen_random_uuid(), 'reader', 0, now())
    """,
    """
    INSERT INTO feedback (tenant_id, report_id, user_id, agrees, pipeline, network, judged_verdict,
        thresholds, created_at)
    SELECT tenant_id, reports.id, (SELECT id FROM users LIMIT 1), random() < 0.9, pipeline, network,
        verdict, thresholds, created_at
    FROM reports WHERE random() < 0.2
    """,
)


def main(cases: int) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        embedded_postgres(Path(folder) / "postgres") as url,
    ):
        engine = make_engine(url)
        migrate(engine)
        fill(engine, cases)
        sessions = make_sessions(engine)
        outcome = {"benchmark": "insights", "cases": cases}
        outcome |= {f"{days} days, ms": measure(sessions, days) for days in PERIODS}
        engine.dispose()
    print(json.dumps(outcome))


def fill(engine: Engine, cases: int) -> None:
    """Make cases, and leave the tables as the database's own upkeep does."""
    with engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), {"cases": cases} if ":cases" in statement else {})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))


def measure(sessions: Sessions, days: int) -> dict[str, float]:
    """Return how many milliseconds each question takes, and all of them together."""
    until = datetime.now(UTC)
    with sessions.begin() as session:
        scope = Scope.of(*session.scalars(select(TenantRow.id)))
        asked = Asked(scope, until - timedelta(days=days), until)
        took = {name: time_ms(session, asked, ask) for name, ask in QUESTIONS.items()}
    return took | {"together": round(sum(took.values()), 1)}


def time_ms(session: Session, asked: Asked, ask: Callable[[Session, Asked], Any]) -> float:
    took = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        ask(session, asked)
        took.append(1000 * (time.perf_counter() - begun))
    return round(statistics.median(took), 1)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
