"""Webhooks by page: a secret shown once, a test with its answer, a log that can be sent again."""

import re
from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from api.parts import Parts
from api.push.notifier import Notifier
from db.session import Sessions
from db.tables import AuditRow, NoticeRow, TenantRow, WebhookRow
from db.webhooks import add_webhook
from hilum.settings import Settings
from tests.api.dashboard.visitor import Visitor, words
from tests.api.push.archives import free_port
from tests.api.push.receivers import Receiver, signature_by_openssl
from tests.db.factories import finished_job

HOOKS = "/admin/webhooks"
ABROAD = "https://127.0.0.1/hook"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of an installation whose clients are in its own network."""
    return settings.model_copy(update={"callback_private": True})


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def url(receiver: Receiver) -> Iterator[str]:
    """The address of a server that keeps what it is sent."""
    with receiver.running() as address:
        yield address


@pytest.fixture
def hook(sessions: Sessions, tenant: TenantRow, url: str) -> str:
    """The page of a webhook of the hospital `tenant`."""
    return page_of(sessions, tenant, url)


@pytest.fixture
def foreign(sessions: Sessions, elsewhere: TenantRow) -> str:
    """The page of another hospital's."""
    return page_of(sessions, elsewhere, ABROAD)


def page_of(sessions: Sessions, tenant: TenantRow, url: str) -> str:
    with sessions.begin() as session:
        return f"{HOOKS}/{add_webhook(session, tenant.id, url).id}"


def form(tenant: TenantRow, url: str) -> dict[str, str]:
    return {"id": str(uuid4()), "url": url, "tenant": str(tenant.id)}


def secret_in(answer: TestResponse) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    return re.findall(r'value="(whsec_[\w+/=]+)"', answer.text)[0]


def rotated_in(answer: TestResponse) -> str:
    return re.findall(r'name="rotated" value="([^"]+)"', answer.text)[0]


def test_secret_is_shown_once_and_signs_what_is_sent(
    chief: Visitor, tenant: TenantRow, url: str, receiver: Receiver, parts: Parts
) -> None:
    secret = secret_in(chief.post(HOOKS, form(tenant, url) | {"events": "job.succeeded"}))
    with parts.sessions.begin() as session:
        finished_job(session, tenant.id)
    Notifier(parts).tell_one()

    [call] = receiver.calls
    assert call.signatures == [signature_by_openssl(call, secret)]
    assert secret not in chief.get(HOOKS).text
    assert "job.succeeded" in words(chief.get(HOOKS))


def test_form_that_is_sent_twice_adds_one_and_shows_its_secret_once(
    chief: Visitor, tenant: TenantRow, url: str, sessions: Sessions
) -> None:
    sent = form(tenant, url)
    secret_in(chief.post(HOOKS, sent))

    again = chief.post(HOOKS, sent)

    assert again.status_code == 422
    assert "was sent before" in words(again)
    assert "whsec_" not in again.text
    with sessions.begin() as session:
        assert len(session.scalars(select(WebhookRow)).all()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"url": ""},
        {"url": "javascript:alert(1)"},
        {"url": "ftp://example.org"},
        {"url": "https://example.org/a\x00b"},
        {"url": "https://" + "x" * 3000},
        {"events": "job.begun"},
        {"id": "1"},
        {"tenant": "1"},
    ],
)
def test_server_that_cannot_be_told_is_refused(
    chief: Visitor, tenant: TenantRow, sessions: Sessions, changes: dict[str, str]
) -> None:
    assert chief.post(HOOKS, form(tenant, ABROAD) | changes).status_code == 422

    with sessions.begin() as session:
        assert session.scalars(select(WebhookRow)).all() == []


def test_new_secret_takes_over_once_however_often_the_form_is_sent(
    chief: Visitor, hook: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        old = session.scalars(select(WebhookRow.secret)).one()
    sent = {"rotated": rotated_in(chief.get(hook))}

    new = secret_in(chief.post(f"{hook}/rotate", sent))
    again = chief.post(f"{hook}/rotate", sent)

    assert again.status_code == 422
    assert "Open its page again" in words(again)
    with sessions.begin() as session:
        row = session.scalars(select(WebhookRow)).one()
    assert (row.secret, row.old_secret) == (new, old)
    assert new not in chief.get(hook).text


@pytest.mark.parametrize(
    ("status", "said"), [(204, "took the test and answered 204"), (500, "answered 500")]
)
def test_test_shows_what_came_back(
    chief: Visitor, hook: str, receiver: Receiver, status: int, said: str
) -> None:
    receiver.statuses = [status]

    answer = chief.post(f"{hook}/test")

    assert said in words(answer)
    assert [call.json["type"] for call in receiver.calls] == ["ping"]


def test_test_of_a_server_that_is_away_says_so(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    page = page_of(sessions, tenant, f"http://127.0.0.1:{free_port()}/hook")

    answer = chief.post(f"{page}/test")

    assert answer.status_code == 200
    assert 'class="alert"' in answer.text


def test_log_is_filtered_paged_and_sent_again(
    chief: Visitor, tenant: TenantRow, hook: str, receiver: Receiver, parts: Parts
) -> None:
    receiver.statuses = [410]
    with parts.sessions.begin() as session:
        finished_job(session, tenant.id)
    Notifier(parts).tell_one()
    page = chief.get(hook, state="failed")

    assert "job.succeeded" in words(page)
    assert "it is gone for good" in words(page)
    assert "Nothing is waiting" in words(chief.get(hook, state="waiting"))
    receiver.statuses = [204]
    chief.post(f"{hook}/enable")
    with parts.sessions.begin() as session:
        notice_id: UUID = session.scalars(select(NoticeRow.id)).one()
    for again in (f"{hook}/log/{notice_id}", f"{hook}/retry"):
        assert chief.post(again).headers["Location"] == hook
    assert Notifier(parts).tell_one()
    assert "delivered" in words(chief.get(hook, state="delivered"))
    assert len({call.id for call in receiver.calls}) == 1


@pytest.mark.parametrize(
    "query", [{"state": "gone"}, {"cursor": "x" * 3000}, {"cursor": "\x00"}, {"state": "\x00"}]
)
def test_query_that_is_none_is_refused(chief: Visitor, hook: str, query: dict[str, str]) -> None:
    assert chief.get(hook, **query).status_code == 422


def test_webhook_is_changed_disabled_enabled_and_removed(
    chief: Visitor, hook: str, url: str, sessions: Sessions
) -> None:
    chief.post(hook, {"url": f"{url}&x=<script>", "events": "job.failed"})
    page = chief.get(hook)
    chief.post(f"{hook}/disable")
    disabled = words(chief.get(hook))
    chief.post(f"{hook}/enable")

    assert "&amp;x=&lt;script&gt;" in page.text
    assert "It was disabled by request." in disabled
    assert chief.post(f"{hook}/remove").headers["Location"] == HOOKS
    assert chief.post(f"{hook}/remove").status_code == 404
    with sessions.begin() as session:
        assert session.scalars(select(WebhookRow)).all() == []


def test_one_that_signs_for_callbacks_is_neither_tested_nor_removed(
    chief: Visitor, tenant: TenantRow, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id, callback_url=ABROAD)
    with sessions.begin() as session:
        page = f"{HOOKS}/{session.scalars(select(WebhookRow.id)).one()}"

    assert chief.get(page).status_code == 200
    for deed in ("test", "remove", "disable"):
        assert chief.post(f"{page}/{deed}").status_code == 422
    assert secret_in(chief.post(f"{page}/rotate", {"rotated": "never"}))


@pytest.mark.parametrize("who", ["reader", "operator"])
def test_who_does_not_administer_finds_no_such_page(
    who: str, request: pytest.FixtureRequest, hook: str
) -> None:
    visitor: Visitor = request.getfixturevalue(who)

    assert {visitor.get(page).status_code for page in (HOOKS, hook)} == {403}
    assert {visitor.post(f"{hook}/{deed}").status_code for deed in ("rotate", "test")} == {403}


def test_webhooks_of_another_hospital_are_as_unknown_as_none(
    chief: Visitor, foreign: str, elsewhere: TenantRow, sessions: Sessions
) -> None:
    deeds = ("", "/enable", "/disable", "/retry", "/remove", "/rotate", "/test", f"/log/{uuid4()}")

    assert "127.0.0.1" not in chief.get(HOOKS).text
    assert chief.post(HOOKS, form(elsewhere, ABROAD)).status_code == 404
    for page in (foreign, f"{HOOKS}/{uuid4()}"):
        assert chief.get(page).status_code == 404
        changed = {chief.post(f"{page}{deed}", {"url": ABROAD}).status_code for deed in deeds}
        assert changed == {404}
    with sessions.begin() as session:
        assert session.scalars(select(WebhookRow)).one().disabled_at is None


def test_neither_log_nor_audit_has_a_secret_or_the_path(
    chief: Visitor, tenant: TenantRow, url: str, sessions: Sessions
) -> None:
    with capture_logs() as lines:
        secret = secret_in(chief.post(HOOKS, form(tenant, url)))

    with sessions.begin() as session:
        [entry] = session.scalars(select(AuditRow).where(AuditRow.action == "webhook.changed"))
    assert (entry.tenant_id, entry.detail) == (
        tenant.id,
        {"change": "added", "host": "127.0.0.1"},
    )
    assert secret not in str(lines) + str(entry.__dict__)
    assert "token=t" not in str(lines) + str(entry.__dict__)
