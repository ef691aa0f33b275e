from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from db.session import Sessions
from db.tables import TenantRow, WebhookRow, now
from db.tenants import add_tenant
from db.webhooks import (
    MOST,
    add_webhook,
    callbacks_of,
    change_webhook,
    keys_of,
    list_webhooks,
    remove_webhook,
    rotate_secret,
    webhook_for,
)
from hilum.errors import InvalidRequest, UnknownWebhook

URL = "https://example.org/hook"


def test_each_webhook_has_a_secret_of_its_own(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        rows = [add_webhook(session, tenant.id, URL) for _ in range(3)]
        rows.append(callbacks_of(session, tenant.id))

    assert len({row.secret for row in rows}) == 4
    assert {keys_of(row) for row in rows} == {(row.secret,) for row in rows}


def test_callbacks_of_a_hospital_have_one_secret_whoever_asks_first(
    sessions: Sessions, tenant: TenantRow
) -> None:
    def ask(_: int) -> str:
        with sessions.begin() as session:
            return callbacks_of(session, tenant.id).secret

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(16)))) == 1


def test_list_has_that_of_callbacks_first_and_nothing_of_others(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "charite")
        add_webhook(session, other.id, URL)
        own = [add_webhook(session, tenant.id, URL, events) for events in ((), ("job.failed",))]
        listed = list_webhooks(session, tenant.id)

    assert [row.url for row in listed] == [None, URL, URL]
    assert [row.id for row in listed[1:]] == [row.id for row in own]
    assert listed[2].events == ["job.failed"]


def test_webhook_of_another_hospital_is_unknown(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "charite")
        row = add_webhook(session, other.id, URL)

    with pytest.raises(UnknownWebhook), sessions.begin() as session:
        webhook_for(session, tenant.id, row.id)


def test_event_that_there_is_none_of_is_refused(sessions: Sessions, tenant: TenantRow) -> None:
    with pytest.raises(InvalidRequest, match=r"found job\.done"), sessions.begin() as session:
        add_webhook(session, tenant.id, URL, ["job.done"])


def test_hospital_has_so_many_and_no_more(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        callbacks_of(session, tenant.id)
        for _ in range(MOST):
            add_webhook(session, tenant.id, URL)

    with pytest.raises(InvalidRequest, match="fewer than"), sessions.begin() as session:
        add_webhook(session, tenant.id, URL)


def test_that_of_callbacks_gets_a_new_secret_and_is_changed_in_nothing_else(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        row = callbacks_of(session, tenant.id)
        old, new = row.secret, rotate_secret(row)
        with pytest.raises(InvalidRequest):
            change_webhook(row, enabled=False)
        with pytest.raises(InvalidRequest):
            remove_webhook(session, row)

    assert keys_of(row) == (new, old)


def test_old_secret_ends_after_a_day() -> None:
    row = WebhookRow(secret="new", old_secret="old", old_secret_until=now() + timedelta(hours=1))
    assert keys_of(row) == ("new", "old")

    row.old_secret_until = now() - timedelta(seconds=1)

    assert keys_of(row) == ("new",)


def test_disabled_webhook_is_enabled_again(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        row = add_webhook(session, tenant.id, URL)
        change_webhook(row, enabled=False)
        assert row.disabled_reason == "It was disabled by request."

        change_webhook(row, enabled=True)

    assert (row.disabled_at, row.disabled_reason) == (None, None)
