from datetime import timedelta

import pytest

from db.admission import check_bytes, check_jobs, check_queue, count_live_jobs, stored_bytes
from db.claims import fail_job
from db.session import Sessions
from db.tables import JobRow, TenantRow, now
from db.tenants import Quota, add_tenant, quota_of, set_quota
from db.turns import longest_wait_s
from hilum.errors import InvalidRequest, QueueOverloaded, TooManyBytes, TooManyJobs
from hilum.jobs import Priority
from tests.db.factories import claim, finished_job, keep_study, queue_job

MIB = 1024 * 1024


def test_hospital_without_a_quota_may_have_anything(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        assert quota_of(session, tenant.id) == Quota()

        check_jobs(session, tenant.id, more=10**6)
        check_bytes(session, tenant.id, more=10**15)


def test_quota_is_of_a_hospital_that_there_is(sessions: Sessions) -> None:
    with sessions.begin() as session, pytest.raises(InvalidRequest, match="no tenant 'nowhere'"):
        set_quota(session, "nowhere", Quota(jobs=1))


def test_jobs_that_wait_or_run_are_counted_and_no_others(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        set_quota(session, tenant.name, Quota(jobs=3))
        queue_job(session, tenant.id)
        claim(session, queue_job(session, tenant.id))
        finished_job(session, tenant.id)
        fail_job(session, claim(session, queue_job(session, tenant.id)), "not_axial", "No.")
        queue_job(session, add_tenant(session, "charite").id)

        assert count_live_jobs(session, tenant.id) == 2
        check_jobs(session, tenant.id)
        with pytest.raises(TooManyJobs, match=r"2 jobs wait or run and 2 would come.*at most 3"):
            check_jobs(session, tenant.id, more=2)


def test_bytes_are_those_of_the_studies_of_a_hospital(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        set_quota(session, tenant.name, Quota(bytes=2 * MIB))
        keep_study(session, tenant.id).size_bytes = MIB
        keep_study(session, add_tenant(session, "charite").id).size_bytes = 7 * MIB
        session.flush()

        assert stored_bytes(session, tenant.id) == MIB
        check_bytes(session, tenant.id, more=MIB)
        with pytest.raises(TooManyBytes, match=r"1\.0 MiB are stored and 1\.5 MiB.*most 2\.0 MiB"):
            check_bytes(session, tenant.id, more=MIB + MIB // 2)


def aged(job: JobRow, minutes: float) -> JobRow:
    job.queued_at = now() - timedelta(minutes=minutes)
    return job


def test_queue_is_as_old_as_the_oldest_job_that_is_due_and_not_urgent(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        assert longest_wait_s(session) == 0.0
        aged(queue_job(session, tenant.id, priority=Priority.STAT), 50)
        aged(queue_job(session, tenant.id), 40).retry_at = now() + timedelta(hours=1)
        aged(queue_job(session, tenant.id), 5)
        aged(queue_job(session, add_tenant(session, "charite").id, priority=Priority.BULK), 10)
        session.flush()

        assert longest_wait_s(session) == pytest.approx(600, abs=30)


def test_old_queue_takes_urgent_jobs_alone(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        aged(queue_job(session, tenant.id), 10)
        session.flush()

        for priority, max_age_s in ((Priority.STAT, 60), (Priority.BULK, 0), (Priority.BULK, 3600)):
            check_queue(session, priority, max_age_s=max_age_s)
        with pytest.raises(QueueOverloaded, match=r"waited for 6\d\d s, expected at most 60 s"):
            check_queue(session, Priority.ROUTINE, max_age_s=60)
