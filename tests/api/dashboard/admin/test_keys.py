"""Keys by page: shown once, to the right people, and ended for good."""

import re
from uuid import uuid4

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from db.session import Sessions
from db.tables import AuditRow, KeyRow, TenantRow
from db.tenants import new_key, tenant_of_key
from tests.api.dashboard.visitor import Visitor, words

KEYS = "/admin/keys"


def form(tenant: TenantRow, **changes: str) -> dict[str, str]:
    return {"id": str(uuid4()), "label": "PACS", "tenant": str(tenant.id)} | changes


def key_in(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return re.findall(r'value="(hilum_[\w-]{43})"', answer.text)[0]


def test_key_is_shown_once_and_opens_the_api(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    key = key_in(chief.post(KEYS, form(tenant)))

    listed = chief.get(KEYS)
    assert "PACS" in words(listed)
    assert key not in listed.text
    with sessions.begin() as session:
        owner = tenant_of_key(session, key)
        kept = session.scalars(select(KeyRow)).one()
    assert owner is not None
    assert owner.id == tenant.id
    assert key not in str(kept.__dict__)


def test_form_that_is_sent_twice_makes_one_key_and_shows_it_once(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    sent = form(tenant)
    key_in(chief.post(KEYS, sent))

    again = chief.post(KEYS, sent)

    assert again.status_code == 422
    assert "was sent before" in words(again)
    assert not re.search(r"hilum_[\w-]{43}", again.text)
    with sessions.begin() as session:
        assert len(session.scalars(select(KeyRow)).all()) == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"label": ""}, 422),
        ({"label": "  "}, 422),
        ({"label": "x" * 65}, 422),
        ({"label": "a\x00b"}, 422),
        ({"label": "a\nb"}, 422),
        ({"id": ""}, 422),
        ({"id": "\x00"}, 422),
        ({"tenant": ""}, 422),
        ({"tenant": str(uuid4())}, 404),
        ({"label": "x" * 2**20}, 413),
    ],
)
def test_form_that_says_nothing_sensible_makes_no_key(
    chief: Visitor, tenant: TenantRow, sessions: Sessions, changes: dict[str, str], status: int
) -> None:
    assert chief.post(KEYS, form(tenant) | changes).status_code == status

    with sessions.begin() as session:
        assert session.scalars(select(KeyRow)).all() == []


def test_script_in_a_label_is_text(chief: Visitor, tenant: TenantRow) -> None:
    label = '"><script>alert(1)</script>'
    made = chief.post(KEYS, form(tenant, label=label))

    for page in (made, chief.get(KEYS)):
        assert "<script>alert" not in page.text
        assert label in words(page) or "&#34;&gt;&lt;script&gt;" in page.text


def test_revoked_key_opens_nothing_and_stays_in_the_list(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    key = key_in(chief.post(KEYS, form(tenant)))
    with sessions.begin() as session:
        revoke = f"{KEYS}/{session.scalars(select(KeyRow.id)).one()}/revoke"

    answers = [chief.post(revoke) for _ in range(2)]

    assert [answer.headers["Location"] for answer in answers] == [KEYS] * 2
    with sessions.begin() as session:
        assert tenant_of_key(session, key) is None
    assert "revoked" in words(chief.get(KEYS))


@pytest.mark.parametrize("who", ["reader", "operator", "nobody"])
def test_who_does_not_administer_neither_sees_nor_makes_keys(
    who: str, request: pytest.FixtureRequest, tenant: TenantRow, sessions: Sessions
) -> None:
    visitor: Visitor = request.getfixturevalue(who)

    answers = [visitor.get(KEYS), visitor.post(KEYS, form(tenant), token=visitor.token())]

    assert {answer.status_code for answer in answers} == ({303} if who == "nobody" else {403})
    with sessions.begin() as session:
        assert session.scalars(select(KeyRow)).all() == []


def test_keys_of_another_hospital_are_neither_seen_nor_made_nor_revoked(
    chief: Visitor, elsewhere: TenantRow, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        key = new_key(session, elsewhere.name, "foreign-scanner")
    with sessions.begin() as session:
        foreign = session.scalars(select(KeyRow.id)).one()

    assert "foreign-scanner" not in chief.get(KEYS).text
    assert chief.post(KEYS, form(elsewhere)).status_code == 404
    for one in (foreign, uuid4()):
        assert chief.post(f"{KEYS}/{one}/revoke").status_code == 404
    with sessions.begin() as session:
        assert tenant_of_key(session, key) is not None


def test_id_of_a_foreign_key_makes_none_and_tells_nothing(
    chief: Visitor, tenant: TenantRow, elsewhere: TenantRow, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        new_key(session, elsewhere.name, "foreign-scanner")
    with sessions.begin() as session:
        foreign = session.scalars(select(KeyRow.id)).one()

    answer = chief.post(KEYS, form(tenant, id=str(foreign)))

    assert answer.status_code == 422
    assert "foreign-scanner" not in answer.text


def test_form_without_its_token_makes_no_key(chief: Visitor, tenant: TenantRow) -> None:
    assert chief.post(KEYS, form(tenant), token="").status_code == 403


def test_neither_log_nor_audit_has_the_key(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    with capture_logs() as lines:
        key = key_in(chief.post(KEYS, form(tenant)))

    with sessions.begin() as session:
        entries = session.scalars(select(AuditRow).where(AuditRow.action == "key.made")).all()
    assert [(one.by, one.subject, one.tenant_id) for one in entries] == [
        ("user clara.chief", "PACS", tenant.id)
    ]
    assert key not in str(lines) + str([one.__dict__ for one in entries])
