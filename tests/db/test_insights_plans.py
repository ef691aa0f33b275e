"""Figures of many cases are read from indexes alone: PostgreSQL itself is asked how."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from benchmarks.insights import fill
from db.agreement import agreements
from db.comparison import compared, of_same_patient, of_same_study
from db.feedback import words_on
from db.insights import Asked, cases_by_day, failures, lesion_shares, speeds, waits
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import TenantRow
from hilum.grading import MOSMED
from tests.db.factories import finished_job
from tests.db.test_plans import recorded

NOW = datetime.now(UTC)
CASES = 2000

Ask = Callable[[Session, Asked], object]

COVERED: dict[str, tuple[Ask, str]] = {
    "cases by day": (
        lambda session, asked: cases_by_day(session, asked, zone=ZoneInfo("UTC")),
        "ix_reports_tenant_created",
    ),
    "speeds": (speeds, "ix_reports_tenant_created"),
    "lesion shares": (
        lambda session, asked: lesion_shares(session, asked, MOSMED),
        "ix_reports_tenant_created",
    ),
    "waits": (waits, "ix_jobs_served"),
    # Of one hospital, or of many: whichever is smaller.
    "failures": (failures, "ix_jobs_(failures|troubled)"),
}


def plans_of(engine: Engine, sessions: Sessions, ask: Callable[[Session], object]) -> list[str]:
    with recorded(engine) as statements, sessions.begin() as session:
        ask(session)
    with engine.connect() as connection:
        # A table of three rows is read faster whole; the question is what happens with millions.
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        return [
            "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", values))
            for sql, values in statements
        ]


@pytest.mark.parametrize("name", COVERED)
@pytest.mark.parametrize("network", [None, "resnet50"])
def test_figure_is_one_look_at_an_index_that_covers_it(
    name: str, network: str | None, engine: Engine, sessions: Sessions
) -> None:
    ask, index = COVERED[name]
    fill(engine, CASES)
    with sessions.begin() as session:
        hospitals = session.scalars(select(TenantRow.id)).all()
    asked = Asked(Scope.of(*hospitals), NOW - timedelta(days=30), NOW, "ct-lesions", network)

    [plan] = plans_of(engine, sessions, lambda session: ask(session, asked))

    assert re.search(f"Index Only Scan using {index}", plan), plan
    assert re.search("Index Cond:.*(tenant_id|finished_at)", plan), plan


def test_agreement_is_counted_by_the_index_of_its_time(
    engine: Engine, sessions: Sessions, tenant: TenantRow
) -> None:
    asked = Asked(Scope.of(tenant.id), NOW - timedelta(days=30), NOW)

    [plan] = plans_of(engine, sessions, lambda session: agreements(session, asked))

    assert "ix_feedback_tenant_created" in plan, plan


def test_what_a_report_is_held_against_is_found_by_indexes(
    engine: Engine, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = finished_job(session, tenant.id)
        job.study.patient_id = "4711"

    def ask(session: Session) -> None:
        one = compared(session, EVERYTHING, job.id)
        of_same_study(session, EVERYTHING, one)
        of_same_patient(session, EVERYTHING, one)
        words_on(session, one.report_id)

    plans = plans_of(engine, sessions, ask)

    assert len(plans) == 6
    for plan in plans:
        assert "Seq Scan" not in plan, plan
