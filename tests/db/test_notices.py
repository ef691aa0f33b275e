import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from db.changes import cancel_job
from db.claims import fail_job, take_back_overdue
from db.notices import (
    Notice,
    NoticeFilter,
    list_notices,
    note_answer,
    retry_failed_notices,
    send_notice_again,
    take_notice,
)
from db.pages import Page
from db.session import Sessions
from db.steps import take_step
from db.tables import JobRow, NoticeRow, TenantRow, WebhookRow
from db.tenants import add_tenant
from db.webhooks import add_webhook, change_webhook, remove_webhook
from hilum.destinations import DeliveryState
from hilum.errors import UnknownDelivery, WebhookDisabled
from hilum.jobs import FINAL_STATES, TRANSITIONS, State
from tests.db.factories import claim, finished_job, queue_job

LEASE_S = 60.0
URL = "https://example.org/hook"


def add(sessions: Sessions, tenant: TenantRow, url: str = URL, *events: str) -> WebhookRow:
    with sessions.begin() as session:
        return add_webhook(session, tenant.id, url, events)


def finish(sessions: Sessions, tenant: TenantRow, url: str | None = None) -> JobRow:
    with sessions.begin() as session:
        return finished_job(session, tenant.id, callback_url=url)


def take(sessions: Sessions) -> Notice | None:
    with sessions.begin() as session:
        return take_notice(session, lease_s=LEASE_S)


def taken(sessions: Sessions) -> Notice:
    notice = take(sessions)
    assert notice is not None
    return notice


def note(
    sessions: Sessions, notice: Notice, status: int | None, error: str | None = None
) -> DeliveryState | None:
    with sessions.begin() as session:
        return note_answer(session, notice, status, error)


def notices(sessions: Sessions) -> list[NoticeRow]:
    with sessions.begin() as session:
        return list(session.scalars(select(NoticeRow).order_by(NoticeRow.created_at)))


def age(sessions: Sessions, *, began_s: float = 0.0, due_s: float = 0.0) -> None:
    """Let time pass."""
    with sessions.begin() as session:
        session.execute(
            text(
                "UPDATE notices SET began_at = began_at - make_interval(secs => :began),"
                " due_at = due_at - make_interval(secs => :due)"
            ),
            {"began": began_s, "due": due_s},
        )


@pytest.mark.parametrize("state", FINAL_STATES)
def test_every_end_of_a_job_is_told_by_the_transaction_that_brings_it(
    state: State, sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant)
    before = next(one for one, steps in TRANSITIONS.items() if state in steps)
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        if before is State.RUNNING:
            claim(session, job)
        take_step(session, before, state, JobRow.id == job.id)
        assert [row.event for row in session.scalars(select(NoticeRow))] == [f"job.{state}"]
        session.rollback()

    assert notices(sessions) == []


def test_failed_job_says_why(sessions: Sessions, tenant: TenantRow) -> None:
    add(sessions, tenant)
    with sessions.begin() as session:
        held = claim(session, queue_job(session, tenant.id))
        fail_job(session, held, "missing_slices", "A slice is missing.")

    data = json.loads(taken(sessions).body)["data"]
    assert data["error"] == {"code": "missing_slices", "message": "A slice is missing."}
    assert (data["state"], data["attempts"], data["report"]) == ("failed", 1, None)


def test_job_that_is_given_up_by_the_upkeep_is_told_of_too(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant)
    with sessions.begin() as session:
        claim(session, queue_job(session, tenant.id))
        session.execute(text("UPDATE jobs SET lease_until = now() - interval '1 minute'"))
        take_back_overdue(session, max_attempts=1)

    assert taken(sessions).event == "job.quarantined"


def test_each_webhook_of_the_hospital_and_the_jobs_own_address_is_told(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "charite")
    wants = add(sessions, tenant)
    add(sessions, tenant, URL, "job.failed")
    add(sessions, other)
    with sessions.begin() as session:
        change_webhook(session.merge(add_webhook(session, tenant.id, URL)), enabled=False)

    finish(sessions, tenant, "https://Example.org:8443/done")

    rows = notices(sessions)
    assert {row.host for row in rows} == {"", "example.org:8443"}
    assert [row.webhook_id for row in rows if not row.host] == [wants.id]
    assert len({row.body for row in rows}) == 1


def test_couriers_that_look_at_once_take_different_notices(
    sessions: Sessions, tenant: TenantRow
) -> None:
    for _ in range(8):
        add(sessions, tenant)
    finish(sessions, tenant)

    with ThreadPoolExecutor(8) as pool:
        found = [one for one in pool.map(lambda _: take(sessions), range(8)) if one is not None]

    assert len({one.id for one in found}) == len(found) >= 1


def test_one_at_a_time_goes_to_a_webhook_and_to_each_host_of_callbacks(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant)
    for url in ("https://one.example/a", "https://one.example/b", "https://two.example/"):
        finish(sessions, tenant, url)

    found = [notice.url for notice in iter(lambda: take(sessions), None)]

    assert sorted(found) == [URL, "https://one.example/a", "https://two.example/"]


def test_many_hosts_of_one_hospital_leave_couriers_to_another(
    sessions: Sessions, tenant: TenantRow
) -> None:
    for number in range(5):
        finish(sessions, tenant, f"https://{number}.example/")
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
    finish(sessions, other, "https://theirs.example/")

    found = [notice.url for notice in iter(lambda: take(sessions), None)]

    assert found == ["https://0.example/", "https://1.example/", "https://theirs.example/"]


def test_courier_that_was_lost_leaves_it_to_another_and_ends_nothing(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant)
    finish(sessions, tenant)
    late = taken(sessions)
    age(sessions, due_s=2 * LEASE_S)

    second = taken(sessions)

    assert (late.id, late.body) == (second.id, second.body)
    assert note(sessions, late, 200) is None
    assert note(sessions, late, None, "It is away.") is None
    assert note(sessions, second, 500, "It answered 500.") is DeliveryState.WAITING


def test_server_that_is_silent_is_spared_all_that_waits_for_it(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant)
    for _ in range(3):
        finish(sessions, tenant)

    note(sessions, taken(sessions), None, "It does not answer.")

    assert take(sessions) is None
    assert [row.attempts for row in notices(sessions)] == [1, 0, 0]
    age(sessions, due_s=60)
    assert note(sessions, taken(sessions), 200) is DeliveryState.DELIVERED
    assert take(sessions) is not None


def test_server_that_answers_is_told_the_next_at_once(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant)
    first, second = finish(sessions, tenant), finish(sessions, tenant)

    refused = taken(sessions)
    note(sessions, refused, 500, "It answered 500.")

    assert [refused.job_id, taken(sessions).job_id] == [first.id, second.id]


def test_all_that_has_waited_for_a_day_for_a_silent_server_is_given_up_at_once(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant)
    for _ in range(3):
        finish(sessions, tenant)
    age(sessions, began_s=25 * 3600)
    fresh = finish(sessions, tenant)

    assert note(sessions, taken(sessions), None, "It is away.") is DeliveryState.FAILED

    states = {row.job_id: row.state for row in notices(sessions)}
    assert states.pop(fresh.id) is DeliveryState.WAITING
    assert set(states.values()) == {DeliveryState.FAILED}


def test_notice_goes_where_the_webhook_leads_by_then(sessions: Sessions, tenant: TenantRow) -> None:
    webhook = add(sessions, tenant)
    finish(sessions, tenant)
    with sessions.begin() as session:
        change_webhook(session.get_one(WebhookRow, webhook.id), url="https://mended.example/")

    assert taken(sessions).url == "https://mended.example/"


def test_gone_is_believed_of_the_address_that_said_so_alone(
    sessions: Sessions, tenant: TenantRow
) -> None:
    webhook = add(sessions, tenant)
    finish(sessions, tenant)
    notice = taken(sessions)
    with sessions.begin() as session:
        change_webhook(session.get_one(WebhookRow, webhook.id), url="https://mended.example/")

    assert note(sessions, notice, 410, "It is gone.") is DeliveryState.FAILED

    with sessions.begin() as session:
        assert session.get_one(WebhookRow, webhook.id).disabled_at is None


def test_what_was_given_up_is_sent_again_under_its_id(
    sessions: Sessions, tenant: TenantRow
) -> None:
    webhook = add(sessions, tenant)
    finish(sessions, tenant)
    age(sessions, began_s=25 * 3600)
    failed = taken(sessions)
    note(sessions, failed, 500, "It answered 500.")

    with sessions.begin() as session:
        count = retry_failed_notices(session, webhook)
        again = retry_failed_notices(session, webhook)

    assert (count, again) == (1, 0)
    assert taken(sessions).id == failed.id


def test_what_a_webhook_does_not_have_or_does_not_take_is_not_sent_again(
    sessions: Sessions, tenant: TenantRow
) -> None:
    webhook, other = add(sessions, tenant), add(sessions, tenant)
    finish(sessions, tenant)
    with sessions.begin() as session:
        page = list_notices(session, webhook, NoticeFilter(), Page())
    [own] = page.rows

    with pytest.raises(UnknownDelivery), sessions.begin() as session:
        send_notice_again(session, other, own.id)
    with sessions.begin() as session:
        webhook = session.get_one(WebhookRow, webhook.id)
        change_webhook(webhook, enabled=False)
    with pytest.raises(WebhookDisabled, match="by request"), sessions.begin() as session:
        send_notice_again(session, webhook, own.id)


def test_removed_webhook_takes_its_notices_along(sessions: Sessions, tenant: TenantRow) -> None:
    webhook = add(sessions, tenant)
    finish(sessions, tenant)

    with sessions.begin() as session:
        remove_webhook(session, session.get_one(WebhookRow, webhook.id))

    assert notices(sessions) == []


def test_list_is_narrowed(sessions: Sessions, tenant: TenantRow) -> None:
    webhook = add(sessions, tenant)
    done = finish(sessions, tenant)
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        cancel_job(session, tenant.id, job.id)

    def listed(chosen: NoticeFilter) -> list[str]:
        with sessions.begin() as session:
            return [row.event for row in list_notices(session, webhook, chosen, Page()).rows]

    assert listed(NoticeFilter()) == ["job.cancelled", "job.succeeded"]
    assert listed(NoticeFilter(event="job.cancelled")) == ["job.cancelled"]
    assert listed(NoticeFilter(job_id=done.id)) == ["job.succeeded"]
    assert listed(NoticeFilter(state=DeliveryState.FAILED)) == []
