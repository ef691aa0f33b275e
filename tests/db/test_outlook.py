import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.claims import report_progress
from db.outlook import look_ahead
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from hilum.jobs import Priority, Stage
from tests.db.factories import claim, finished_job, queue_job


def test_urgent_jobs_stand_before_older_ones_in_the_queue(
    sessions: Sessions, tenant: TenantRow
) -> None:
    jobs = {}
    for name, priority in (
        ("running", Priority.STAT),
        ("bulk", Priority.BULK),
        ("first", Priority.ROUTINE),
        ("second", Priority.ROUTINE),
        ("stat", Priority.STAT),
    ):
        with sessions.begin() as session:
            jobs[name] = queue_job(session, tenant.id, priority=priority)
            if name == "running":
                claim(session, jobs[name])

    with sessions.begin() as session:
        places = {name: look_ahead(session, job).place for name, job in jobs.items()}

    assert places == {"stat": 0, "first": 1, "second": 2, "bulk": 3, "running": None}


def test_nobody_can_say_how_long_the_very_first_job_takes(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        assert look_ahead(session, queue_job(session, tenant.id)).eta_s is None


def finish_at_speed(session: Session, tenant: TenantRow, *, seconds: float, slices: int) -> None:
    job = finished_job(session, tenant.id, slice_count=slices)
    session.execute(
        text("UPDATE jobs SET started_at = finished_at - make_interval(secs => :s) WHERE id = :id"),
        {"s": seconds, "id": job.id},
    )


def test_estimate_counts_the_slices_ahead_at_the_speed_of_recent_jobs(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finish_at_speed(session, tenant, seconds=20.0, slices=40)
        finish_at_speed(session, tenant, seconds=10.0, slices=20)
        running = queue_job(session, tenant.id, slice_count=100)
        held = claim(session, running)
        report_progress(session, held, Stage.SLICES, 50, 100, lease_s=60)
        queue_job(session, tenant.id, slice_count=10, priority=Priority.STAT)
        waiting = queue_job(session, tenant.id, slice_count=60)

        session.refresh(running)
        soon, later = look_ahead(session, running).eta_s, look_ahead(session, waiting).eta_s

    left = 1.0 - running.fraction
    assert soon == pytest.approx(0.5 * 100 * left)
    assert later == pytest.approx(0.5 * (100 * left + 10 + 60))


def test_two_busy_workers_halve_the_wait(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        finish_at_speed(session, tenant, seconds=20.0, slices=40)
        for worker in ("gpu-1", "gpu-2"):
            claim(session, queue_job(session, tenant.id, slice_count=100), worker=worker)
        waiting = queue_job(session, tenant.id, slice_count=60)

        assert look_ahead(session, waiting).eta_s == pytest.approx(0.5 * (200 / 2 + 60))


def test_job_that_has_ended_takes_no_more_time(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        finish_at_speed(session, tenant, seconds=20.0, slices=40)

        assert look_ahead(session, finished_job(session, tenant.id)).eta_s is None


def test_hospitals_take_turns_in_the_queue(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        many = [queue_job(session, tenant.id) for _ in range(5)]
        other = add_tenant(session, "st-mary")
        one, two = (queue_job(session, other.id) for _ in range(2))

        places = [look_ahead(session, job).place for job in (*many, one, two)]

    assert places == [0, 2, 4, 5, 6, 1, 3]


def test_hospital_that_was_served_a_moment_ago_comes_after_another(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        claim(session, queue_job(session, tenant.id))
        first, second = (queue_job(session, tenant.id) for _ in range(2))
        other = queue_job(session, add_tenant(session, "st-mary").id)

        places = [look_ahead(session, job).place for job in (first, second, other)]

    assert places == [1, 2, 0]
