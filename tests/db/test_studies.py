from concurrent.futures import ThreadPoolExecutor
from datetime import date
from uuid import UUID, uuid4

import pytest

from db.pages import Page
from db.session import Sessions
from db.studies import (
    StudyFilter,
    find_study,
    instance_by_uid,
    instance_keys,
    iterate_studies,
    list_studies,
    study_for,
)
from db.tables import TenantRow, now
from db.tenants import add_tenant
from hilum.errors import UnknownStudy
from tests.db.factories import keep_study, make_study


def test_kept_study_is_found_by_its_content_with_all_its_files(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        kept = keep_study(session, tenant.id, make_study(instances=3), content="c0ffee")

    with sessions.begin() as session:
        found = find_study(session, tenant.id, "c0ffee")
        assert found is not None
        files = instance_keys(session, found.id)
    assert (found.id, found.study_date, found.size_bytes) == (kept.id, date(2026, 1, 2), 30)
    assert [file.sop_instance_uid[-2:] for file in files] == [".0", ".1", ".2"]


def test_one_instance_is_found_by_its_uid(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id)

        found = instance_by_uid(session, study.id, "1.2.840.1.1.1")
        missing = instance_by_uid(session, study.id, "1.2.840.1.1.9")

    assert found is not None
    assert found.key.endswith("1.2.840.1.1.1.dcm")
    assert missing is None


def test_study_of_another_tenant_is_as_unknown_as_none(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "charite")
        study = keep_study(session, other.id, content="c0ffee")

    with sessions.begin() as session:
        for study_id in (study.id, uuid4()):
            with pytest.raises(UnknownStudy, match=str(study_id)):
                study_for(session, tenant.id, study_id)
        assert find_study(session, tenant.id, "c0ffee") is None
        assert list_studies(session, tenant.id, StudyFilter(), Page()).rows == []


def test_two_uploads_of_the_same_bytes_at_once_are_one_study(
    sessions: Sessions, tenant: TenantRow
) -> None:
    def upload(_: int) -> UUID:
        with sessions.begin() as session:
            return keep_study(session, tenant.id, content="c0ffee").id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(upload, range(4)))

    with sessions.begin() as session:
        assert len(ids) == 1
        assert len(instance_keys(session, ids.pop())) == 2


@pytest.mark.parametrize("value", ["", "20261399", "unknown"])
def test_study_with_no_usable_date_is_kept_without_one(
    value: str, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = keep_study(session, tenant.id, make_study(date=value))

    assert study.study_date is None


def test_studies_without_a_date_have_their_place_in_pages_by_date(
    sessions: Sessions, tenant: TenantRow
) -> None:
    dates = ["20260103", "", "20260101", "", "20260102"]
    with sessions.begin() as session:
        for value in dates:
            keep_study(session, tenant.id, make_study(date=value))

    rising = list(iterate_by_one(sessions, tenant.id, "study_date"))
    falling = list(iterate_by_one(sessions, tenant.id, "-study_date"))

    assert rising == [None, None, date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    assert falling == rising[::-1]


def iterate_by_one(sessions: Sessions, tenant_id: UUID, sort: str) -> list[date | None]:
    dates, cursor = [], None
    while True:
        with sessions.begin() as session:
            page = Page(cursor, 1, sort)
            listing = list_studies(session, tenant_id, StudyFilter(), page)
        dates += [row.study_date for row in listing.rows]
        cursor = listing.next_cursor
        if cursor is None:
            return dates


def test_filter_by_study_date_includes_both_ends_and_no_study_without_one(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        for value in ("20260101", "20260102", "20260103", "20260104", ""):
            keep_study(session, tenant.id, make_study(date=value))
    chosen = StudyFilter(dated_from=date(2026, 1, 2), dated_to=date(2026, 1, 3))

    found = iterate_studies(sessions, tenant.id, chosen, "study_date")
    until = iterate_studies(sessions, tenant.id, StudyFilter(dated_to=date(2026, 1, 1)))

    assert [study.study_date for study in found] == [date(2026, 1, 2), date(2026, 1, 3)]
    assert [study.study_date for study in until] == [date(2026, 1, 1)]


def test_listed_studies_carry_their_series(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        keep_study(session, tenant.id)
        chosen = StudyFilter(study_uid="1.2.840.1", until=now())
        listing = list_studies(session, tenant.id, chosen, Page())

    # The session is closed: what is not there by now would raise.
    assert listing.rows[0].series[0].kernel == "B70f"
