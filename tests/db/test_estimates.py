import pytest
from sqlalchemy import text

from db.claims import finish_job
from db.estimates import estimate_of, keep_estimates
from db.session import Sessions
from db.tables import JobRow, TenantRow
from tests.db.factories import claim, finished_job, have_worker, make_report, queue_job


def set_times(sessions: Sessions, job: JobRow, *, waited_s: float, ran_s: float) -> None:
    with sessions.begin() as session:
        session.execute(
            text(
                "UPDATE jobs SET started_at = finished_at - make_interval(secs => :ran),"
                " queued_at = finished_at - make_interval(secs => :ran + :waited) WHERE id = :id"
            ),
            {"ran": ran_s, "waited": waited_s, "id": job.id},
        )


def test_estimate_is_kept_with_a_job_and_held_against_what_it_took(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        have_worker(session)
        earlier = finished_job(session, tenant.id, slice_count=100)
    set_times(sessions, earlier, waited_s=5.0, ran_s=50.0)
    with sessions.begin() as session:
        job = queue_job(session, tenant.id, slice_count=40)
        keep_estimates(session, [job])
    with sessions.begin() as session:
        finish_job(session, claim(session, job), make_report(), [])
    set_times(sessions, job, waited_s=1.0, ran_s=22.0)

    with sessions.begin() as session:
        estimate = estimate_of(session, job.id)

    assert estimate is not None
    assert estimate.rounded() == {"expected_s": 20.0, "actual_s": 23.0, "error_s": 3.0}


def test_job_of_which_nothing_was_known_has_no_estimate(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        keep_estimates(session, [job])
        finish_job(session, claim(session, job), make_report(), [])

        assert job.expected_s is None
        assert estimate_of(session, job.id) is None


@pytest.mark.parametrize("slices", [0, 1])
def test_small_job_is_expected_soon(sessions: Sessions, tenant: TenantRow, slices: int) -> None:
    with sessions.begin() as session:
        have_worker(session)
        earlier = finished_job(session, tenant.id, slice_count=100)
    set_times(sessions, earlier, waited_s=0.0, ran_s=50.0)

    with sessions.begin() as session:
        job = queue_job(session, tenant.id, slice_count=slices)
        keep_estimates(session, [job])

        assert job.expected_s == pytest.approx(0.5 * slices)
