"""Hospitals by page: for those who administer everything."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from sqlalchemy import select

from db.session import Sessions
from db.tables import AuditRow, TenantRow
from db.tenants import Quota, quota_of, set_policy
from db.titles import add_title
from hilum.dicom.deidentify import Policy
from hilum.settings import MIB
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import finished_job

TENANTS = "/admin/tenants"


def test_hospital_is_added_once_however_often_the_form_is_sent(
    admin: Visitor, sessions: Sessions
) -> None:
    first, second = (admin.post(TENANTS, {"name": "charite"}) for _ in range(2))

    assert first.status_code == 303
    assert admin.get(first.headers["Location"]).status_code == 200
    assert second.status_code == 422
    assert "There is a tenant 'charite' already" in words(second)
    assert "charite" in words(admin.get(TENANTS))
    with sessions.begin() as session:
        [entry] = session.scalars(select(AuditRow).where(AuditRow.action == "tenant.added"))
    assert (entry.by, entry.subject) == ("user ada.admin", "charite")


def test_form_that_is_sent_twice_at_once_adds_one(admin: Visitor, sessions: Sessions) -> None:
    token = admin.token()

    def send(_: int) -> int:
        return admin.post(TENANTS, {"name": "charite"}, token=token).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(send, range(4)))

    assert answers[0] == 303
    assert set(answers[1:]) <= {409, 422}
    with sessions.begin() as session:
        assert len(session.scalars(select(TenantRow)).all()) == 1


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "a\x00b", "a\rb"])
def test_name_that_is_none_is_refused(admin: Visitor, sessions: Sessions, name: str) -> None:
    assert admin.post(TENANTS, {"name": name}).status_code == 422

    with sessions.begin() as session:
        assert session.scalars(select(TenantRow)).all() == []


def test_script_in_a_name_is_text(admin: Visitor) -> None:
    shown = admin.post(TENANTS, {"name": "<img src=x onerror=alert(1)>"}).headers["Location"]

    for page in (admin.get(TENANTS), admin.get(shown)):
        assert "<img src=x" not in page.text


def test_limits_are_kept_shown_and_taken_away(
    admin: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    page = f"{TENANTS}/{tenant.id}"
    kept = []
    for wanted in (
        {"jobs": "5", "mib": "700", "requests": ""},
        {"jobs": "", "mib": "", "requests": "9"},
    ):
        assert admin.post(f"{page}/quota", wanted).headers["Location"] == page
        with sessions.begin() as session:
            kept.append(quota_of(session, tenant.id))

    assert kept == [Quota(5, 700 * MIB, None), Quota(None, None, 9)]
    assert 'value="9"' in admin.get(page).text


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "1e9", "²", "NaN", "9" * 16, "9" * 5000, "a"])
def test_limit_that_is_no_number_changes_nothing(
    admin: Visitor, tenant: TenantRow, sessions: Sessions, number: str
) -> None:
    answer = admin.post(f"{TENANTS}/{tenant.id}/quota", {"jobs": number})

    assert answer.status_code == 422
    with sessions.begin() as session:
        assert quota_of(session, tenant.id) == Quota()


def test_page_shows_what_is_used_and_the_policy_without_its_key(
    admin: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    secret = "0123456789abcdef0123456789abcdef"
    with sessions.begin() as session:
        set_policy(session, tenant.name, Policy(secret, on_arrival=True))
        add_title(session, "HILUM_CT", tenant.name, order={"priority": "stat"}, calling=["CT1"])
        finished_job(session, tenant.id)

    page = admin.get(f"{TENANTS}/{tenant.id}")

    assert secret not in page.text
    for said in ("Before a study is stored", "HILUM_CT CT1 stat", "now 0"):
        assert said in words(page)


@pytest.mark.parametrize("who", ["reader", "operator", "chief"])
def test_page_is_for_those_who_administer_everything(
    who: str, request: pytest.FixtureRequest, tenant: TenantRow, sessions: Sessions
) -> None:
    visitor: Visitor = request.getfixturevalue(who)

    for page in (TENANTS, f"{TENANTS}/{tenant.id}"):
        assert visitor.get(page).status_code == 403
    assert visitor.post(TENANTS, {"name": "mine"}).status_code == 403
    assert visitor.post(f"{TENANTS}/{tenant.id}/quota", {"jobs": "1"}).status_code == 403
    with sessions.begin() as session:
        assert quota_of(session, tenant.id) == Quota()


def test_menu_offers_what_somebody_may(admin: Visitor, chief: Visitor) -> None:
    assert "Hospitals" in words(admin.get("/admin"))
    assert "Hospitals" not in words(chief.get("/admin"))


def test_unknown_hospital_is_said_to_be_unknown(admin: Visitor) -> None:
    page = admin.get(f"{TENANTS}/{uuid4()}")

    assert page.status_code == 404
    assert "There is no hospital" in words(page)
