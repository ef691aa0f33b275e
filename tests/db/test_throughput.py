"""What workers got done: by name, whichever process did it, in the last hour and day."""

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from db.throughput import Done, Throughput, throughput, total
from db.workers import Load, Work, Worker, heartbeat, take_name
from tests.db.factories import finished_job


def do(session: Session, tenant: TenantRow, process: str, *, ago_h: float, took_s: float) -> None:
    job = finished_job(session, tenant.id, slice_count=50)
    session.execute(
        text(
            "UPDATE jobs SET worker = :worker,"
            " finished_at = now() - make_interval(mins => :m),"
            " started_at = now() - make_interval(mins => :m) - make_interval(secs => :s)"
            " WHERE id = :id"
        ),
        {"worker": process, "m": int(60 * ago_h), "s": took_s, "id": job.id},
    )


def appear(session: Session, name: str, pid: int) -> None:
    worker = Worker(uuid4(), name, pid, "cpu", None, "0.1.0")
    take_name(session, worker)
    heartbeat(session, worker, Work(), Load())


def test_work_of_a_worker_s_processes_is_added_up(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for pid in (18, 99):
            appear(session, "ward-3:17", pid)
        do(session, tenant, "ward-3:18", ago_h=0.5, took_s=100)
        do(session, tenant, "ward-3:99", ago_h=0.2, took_s=50)
        do(session, tenant, "ward-3:99", ago_h=5, took_s=150)
        do(session, tenant, "ward-9:1", ago_h=2, took_s=10)
        do(session, tenant, "ward-3:99", ago_h=25, took_s=1000)

        found = throughput(session, EVERYTHING)

    assert set(found) == {"ward-3:17", "ward-9:1"}
    hour, day = found["ward-3:17"].hour, found["ward-3:17"].day
    assert (hour.jobs, hour.slices, hour.seconds_per_slice) == (2, 100, pytest.approx(1.5))
    assert (day.jobs, day.slices, day.seconds_per_slice) == (3, 150, pytest.approx(2.0))
    assert found["ward-9:1"].hour.seconds_per_slice is None
    assert total(found.values()).day.jobs == 4


def test_work_for_other_hospitals_is_not_told(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
        do(session, tenant, "ward-3:18", ago_h=0.5, took_s=100)
        do(session, other, "ward-3:18", ago_h=0.5, took_s=100)

        found = throughput(session, Scope.of(other.id))

    assert found["ward-3:18"].day.jobs == 1


def test_nothing_done_is_nothing() -> None:
    assert total([]) == Throughput(Done(), Done())
