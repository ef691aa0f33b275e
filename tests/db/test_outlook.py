import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.claims import give_back, report_progress
from db.outlook import look_ahead, survey
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from hilum.jobs import Priority, Stage
from tests.db.factories import claim, finished_job, have_worker, queue_job


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


def test_several_jobs_are_told_the_same_together_as_one_by_one(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finish_at_speed(session, tenant, seconds=20.0, slices=40)
        other = add_tenant(session, "st-mary")
        jobs = [
            queue_job(session, owner.id, priority=priority)
            for priority in Priority
            for owner in (tenant, other, tenant)
        ]
        claim(session, jobs[0])
        session.refresh(jobs[0])

        together = survey(session, jobs)

        assert [together.outlook(job) for job in jobs] == [look_ahead(session, job) for job in jobs]


def test_survey_does_not_cover_a_job_that_came_later(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        known, running = (queue_job(session, tenant.id) for _ in range(2))
        claim(session, running)
        session.refresh(running)
        found = survey(session, [known, running])
        later = queue_job(session, tenant.id)

        assert [found.covers(job) for job in (known, running, later)] == [True, True, False]


def test_job_that_pauses_before_another_attempt_is_not_expected_sooner(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finish_at_speed(session, tenant, seconds=20.0, slices=40)
        have_worker(session)
        job = queue_job(session, tenant.id, slice_count=60)
        give_back(session, claim(session, job), "The disk is full.", max_attempts=3, wait_s=100.0)
        session.refresh(job)

        assert look_ahead(session, job).eta_s == pytest.approx(100 + 0.5 * 60, abs=1)


def test_nobody_can_say_when_a_job_is_done_that_no_worker_is_there_for(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finish_at_speed(session, tenant, seconds=20.0, slices=40)
        job = queue_job(session, tenant.id)

        outlook = look_ahead(session, job)

    assert (outlook.place, outlook.eta_s) == (0, None)


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
