import base64
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from db.jobs import FILTERS as JOB_FILTERS
from db.jobs import JobFilter, iterate_jobs, list_jobs
from db.pages import LARGEST_PAGE, Conditions, Listing, Page, iterate
from db.reports import FILTERS as REPORT_FILTERS
from db.reports import ReportFilter, list_reports
from db.session import Sessions
from db.studies import FILTERS as STUDY_FILTERS
from db.studies import StudyFilter
from db.tables import JobRow, TenantRow
from hilum.errors import InvalidRequest
from tests.db.factories import finished_job, queue_job


def test_pages_hold_every_row_once_while_new_ones_arrive(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        first = [queue_job(session, tenant.id).id for _ in range(5)]

    seen, cursor = [], None
    while True:
        with sessions.begin() as session:
            page = Page(cursor, 2, "-created_at")
            listing = list_jobs(session, tenant.id, JobFilter(), page)
            queue_job(session, tenant.id)
        seen += [job.id for job in listing.rows]
        cursor = listing.next_cursor
        if cursor is None:
            break

    assert seen == first[::-1]


def test_rows_of_one_value_are_told_apart_by_their_ids(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        jobs = {finished_job(session, tenant.id, share=0.1).id for _ in range(3)}
        seen, cursor = [], None
        for _ in jobs:
            page = Page(cursor, 1, "lesion_share")
            listing = list_reports(session, tenant.id, ReportFilter(), page)
            seen += [row.job_id for row in listing.rows]
            cursor = listing.next_cursor

    assert len(seen) == 3
    assert set(seen) == jobs
    assert cursor is None


def test_last_page_that_is_exactly_full_has_no_next(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for _ in range(2):
            queue_job(session, tenant.id)

        listing = list_jobs(session, tenant.id, JobFilter(), Page(limit=2))

    assert listing.next_cursor is None


@pytest.mark.parametrize("limit", [0, -1, LARGEST_PAGE + 1])
def test_page_of_no_sensible_size_is_refused(
    limit: int, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session, pytest.raises(InvalidRequest, match=f"{limit} rows"):
        list_jobs(session, tenant.id, JobFilter(), Page(limit=limit))


def test_unknown_sort_is_refused_with_those_there_are(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session, pytest.raises(InvalidRequest, match=r"'name'.*created_at"):
        list_jobs(session, tenant.id, JobFilter(), Page(sort="-name"))


def test_cursor_of_another_order_is_refused(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for _ in range(2):
            queue_job(session, tenant.id)
        cursor = list_jobs(session, tenant.id, JobFilter(), Page(limit=1)).next_cursor

        with pytest.raises(InvalidRequest, match="expected created_at"):
            list_jobs(session, tenant.id, JobFilter(), Page(cursor, 1, "created_at"))


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


MADE_UP = st.one_of(
    st.text(max_size=40),
    st.text(max_size=40).map(encoded),
    st.sampled_from(
        [
            encoded('["-created_at", "2026-13-01", "' + uuid4().hex + '"]'),
            encoded('["-created_at", 1e999, "' + uuid4().hex + '"]'),
            encoded('["-created_at", "0001-01-01T00:00:00", "' + uuid4().hex + '"]'),
            encoded('["-created_at", "2026-01-01T00:00:00+00:00", null]'),
            encoded("[" * 2000),
        ]
    ),
)


@given(cursor=MADE_UP)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_made_up_cursor_is_refused(cursor: str, sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session, pytest.raises(InvalidRequest, match="cursor"):
        list_jobs(session, tenant.id, JobFilter(), Page(cursor))


def test_iteration_yields_every_row_and_holds_no_transaction_between(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id).id for _ in range(5)]
    open_sessions: list[bool] = []

    def pages_of_two(session: Session, page: Page) -> Listing[JobRow]:
        open_sessions.append(session.in_transaction())
        return list_jobs(session, tenant.id, JobFilter(), Page(page.cursor, 2, page.sort))

    found = [job.id for job in iterate(sessions, pages_of_two, "created_at")]

    assert found == jobs
    assert len(open_sessions) == 3
    assert [job.id for job in iterate_jobs(sessions, tenant.id, JobFilter())] == jobs[::-1]


@pytest.mark.parametrize(
    ("chosen", "conditions"),
    [
        (StudyFilter, STUDY_FILTERS),
        (JobFilter, JOB_FILTERS),
        (ReportFilter, REPORT_FILTERS),
    ],
)
def test_every_field_of_a_filter_asks_something(chosen: type, conditions: Conditions) -> None:
    assert set(chosen.__slots__) == set(conditions)  # type: ignore[attr-defined] # each is a slotted dataclass
