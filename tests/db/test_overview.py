from db.overview import count_jobs, newest_jobs
from db.scope import Scope
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from hilum.jobs import State
from tests.db.factories import finished_job, queue_job


def test_jobs_are_counted_by_state_of_one_tenant_or_of_all(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "elsewhere")
        finished_job(session, tenant.id)
        queue_job(session, tenant.id)
        queue_job(session, other.id)

        of_all, of_one = count_jobs(session), count_jobs(session, tenant.id)

    assert (of_all[State.QUEUED], of_all[State.SUCCEEDED], of_all[State.FAILED]) == (2, 1, 0)
    assert (of_one[State.QUEUED], of_one[State.SUCCEEDED]) == (1, 1)


def test_newest_jobs_come_first_with_their_reports(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        queue_job(session, add_tenant(session, "elsewhere").id)
        oldest = queue_job(session, tenant.id)
        done = finished_job(session, tenant.id, 0.3)
        waiting = queue_job(session, tenant.id)

        found = newest_jobs(session, Scope.of(tenant.id), 2)

    assert oldest.id not in {job.id for job, _ in found}
    assert [job.id for job, _ in found] == [waiting.id, done.id]
    assert [report and report.verdict for _, report in found] == [None, "Alarming"]
