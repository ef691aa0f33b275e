"""Jobs that went wrong, as whoever may see some hospitals sees them."""

from sqlalchemy.orm import Session

from db.changes import cancel_job
from db.claims import fail_job, take_back_overdue
from db.pages import Page
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.tenants import add_tenant
from db.troubles import NEWEST_FIRST, count_troubled, list_troubled
from hilum.jobs import State
from tests.db.factories import claim, finished_job, queue_job


def failed_job(session: Session, tenant: TenantRow) -> JobRow:
    job = queue_job(session, tenant.id)
    fail_job(session, claim(session, job), "not_axial", "The series is coronal.")
    return job


def quarantined_job(session: Session, tenant: TenantRow) -> JobRow:
    job = queue_job(session, tenant.id)
    claim(session, job, lease_s=-1)
    take_back_overdue(session, max_attempts=1)
    return job


def newest(limit: int = 50, cursor: str | None = None) -> Page:
    return Page(cursor=cursor, limit=limit, sort=NEWEST_FIRST)


def test_failed_and_quarantined_jobs_are_listed_newest_first_page_by_page(
    sessions: Sessions, tenant: TenantRow
) -> None:
    jobs = []
    for make in (failed_job, quarantined_job, failed_job):
        with sessions.begin() as session:
            jobs.append(make(session, tenant))
            finished_job(session, tenant.id)
            cancel_job(session, tenant.id, queue_job(session, tenant.id).id)

    with sessions.begin() as session:
        first = list_troubled(session, EVERYTHING, newest(2))
        rest = list_troubled(session, EVERYTHING, newest(2, first.next_cursor))
        lost = list_troubled(session, EVERYTHING, newest(), State.QUARANTINED)

    assert [job.id for job in first.rows] == [jobs[2].id, jobs[1].id]
    assert [job.id for job in rest.rows] == [jobs[0].id]
    assert (rest.next_cursor, [job.id for job in lost.rows]) == (None, [jobs[1].id])


def test_other_hospitals_troubles_are_neither_listed_nor_counted(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
        own = failed_job(session, tenant)
        theirs = quarantined_job(session, other)

        seen = {
            scope: (
                [job.id for job in list_troubled(session, scope, newest()).rows],
                tuple(count_troubled(session, scope).values()),
            )
            for scope in (Scope.of(tenant.id), Scope.of(other.id), Scope.of())
        }

    assert list(seen.values()) == [([own.id], (0, 1)), ([theirs.id], (1, 0)), ([], (0, 0))]
