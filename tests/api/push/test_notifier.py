import json
import logging
import threading
import time
from dataclasses import replace

import pytest
from sqlalchemy import select, text

from api.parts import Parts
from api.push import guarded
from api.push.courier import Courier
from api.push.notifier import NOTIFIERS, Notifier, ping
from db.changes import cancel_job
from db.destinations import add_destination
from db.notices import NoticeFilter, list_notices
from db.pages import Page
from db.session import Sessions
from db.tables import JobRow, NoticeRow, TenantRow, WebhookRow
from db.webhooks import add_webhook, callbacks_of, rotate_secret
from hilum.destinations import DeliveryState, Stow
from hilum.jobs import State
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.api.push.archives import Service, free_port
from tests.api.push.receivers import Receiver, signature_by_openssl, silent
from tests.api.push.test_courier import courier_process
from tests.db.factories import finished_job, queue_job
from tests.worker.conftest import QueueStored, queue_stored
from tests.worker.pipelines import quick
from tests.worker.processes import until
from tests.worker.turns import run_now
from worker.bench import Bench

__all__ = ["queue_stored"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of an installation whose clients are in its own network."""
    return settings.model_copy(update={"callback_private": True})


@pytest.fixture
def notifier(parts: Parts) -> Notifier:
    return Notifier(parts)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls end soon."""
    monkeypatch.setattr(guarded, "STEP_S", 0.5)


def add(sessions: Sessions, tenant: TenantRow, url: str, *events: str) -> WebhookRow:
    with sessions.begin() as session:
        return add_webhook(session, tenant.id, url, events)


def finish(sessions: Sessions, tenant: TenantRow, url: str | None = None) -> JobRow:
    with sessions.begin() as session:
        return finished_job(session, tenant.id, callback_url=url)


def log_of(sessions: Sessions, webhook: WebhookRow) -> list[NoticeRow]:
    """What a webhook was told, oldest first."""
    with sessions.begin() as session:
        page = Page(sort="created_at")
        return list_notices(session, webhook, NoticeFilter(), page).rows


def age(sessions: Sessions, seconds: float) -> None:
    """Let time pass."""
    earlier = "began_at = began_at - make_interval(secs => :s), due_at = now()"
    with sessions.begin() as session:
        session.execute(text(f"UPDATE notices SET {earlier}"), {"s": seconds})  # noqa: S608 - a constant


def tell_all(notifier: Notifier) -> int:
    """Send all that is due; return how many that were."""
    count = 0
    while notifier.tell_one():
        count += 1
    return count


def test_server_is_told_what_happened_and_can_tell_who_says_so(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver()
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        job = finish(sessions, tenant)
        assert tell_all(notifier) == 1

    [call] = receiver.calls
    assert call.path == "/hook?token=t"
    assert call.signatures == [signature_by_openssl(call, webhook.secret)]
    assert abs(int(call.headers["webhook-timestamp"]) - time.time()) < 60
    assert call.body == json.dumps(call.json, separators=(",", ":")).encode()
    assert call.json["type"] == "job.succeeded"
    data = call.json["data"]
    assert (data["id"], data["state"], data["error"]) == (str(job.id), "succeeded", None)
    assert (data["study_id"], data["study_uid"]) == (str(job.study_id), "1.2.840.1")
    assert data["report"] == {
        "verdict": "Mild",
        "grade": "CT-1",
        "review": False,
        "lesion_share": pytest.approx(0.1),
    }
    assert call.json["timestamp"] == data["finished_at"]
    [notice] = log_of(sessions, webhook)
    assert (notice.state, notice.status, notice.attempts) == (DeliveryState.DELIVERED, 204, 1)
    assert call.id == str(notice.id)


def test_callback_of_a_job_is_signed_with_the_secret_of_its_hospital(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver()
    with receiver.running() as url:
        finish(sessions, tenant, url)
        assert tell_all(notifier) == 1

    with sessions.begin() as session:
        callbacks = callbacks_of(session, tenant.id)
    [call] = receiver.calls
    assert call.signatures == [signature_by_openssl(call, callbacks.secret)]
    assert call.json["type"] == "job.succeeded"


def test_job_that_waits_and_one_without_anybody_to_tell_are_nobodys_news(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id, callback_url="http://127.0.0.1:1/")
    finish(sessions, tenant)

    assert tell_all(notifier) == 0


def test_only_the_events_that_were_asked_for_are_told(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver()
    with receiver.running() as url:
        add(sessions, tenant, url, "job.failed", "job.cancelled")
        finish(sessions, tenant)
        with sessions.begin() as session:
            job = queue_job(session, tenant.id)
            cancel_job(session, tenant.id, job.id)
        tell_all(notifier)

    assert [call.json["type"] for call in receiver.calls] == ["job.cancelled"]


def test_what_happened_is_told_even_where_the_job_has_moved_on(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver()
    with receiver.running() as url:
        job = finish(sessions, tenant, url)
        with sessions.begin() as session:
            session.get_one(JobRow, job.id).state = State.QUEUED
        tell_all(notifier)

    assert receiver.calls[0].json["data"]["state"] == "succeeded"


@pytest.mark.parametrize("status", [302, 404, 429, 500, 503])
def test_server_that_does_not_take_it_is_told_again_under_the_same_id(
    status: int, notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver([status, 200])
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        finish(sessions, tenant)
        tell_all(notifier)
        [waiting] = log_of(sessions, webhook)
        age(sessions, 0)
        tell_all(notifier)

    assert (waiting.state, waiting.status) == (DeliveryState.WAITING, status)
    assert waiting.error == f"The server answered {status}."
    first, second = receiver.calls
    assert (first.id, first.body) == (second.id, second.body)
    [done] = log_of(sessions, webhook)
    assert (done.state, done.attempts, done.error) == (DeliveryState.DELIVERED, 2, None)


def test_attempt_has_the_time_of_the_attempt(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver([500, 200])
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        finish(sessions, tenant)
        tell_all(notifier)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 3600)
        age(sessions, 0)
        tell_all(notifier)

    first, second = receiver.calls
    apart = int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"])
    assert apart >= 3600
    assert second.signatures == [signature_by_openssl(second, webhook.secret)]


def test_server_that_is_not_there_is_told_when_it_is_back(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    webhook = add(sessions, tenant, f"http://127.0.0.1:{free_port()}/hook?token=secret")
    finish(sessions, tenant)

    assert tell_all(notifier) == 1

    [waiting] = log_of(sessions, webhook)
    assert (waiting.state, waiting.status) == (DeliveryState.WAITING, None)
    assert waiting.error == "The server does not answer (ConnectError)."


def test_server_that_is_away_for_a_day_is_given_up(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver([500])
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        finish(sessions, tenant)
        for hours in (0, 23, 2):
            age(sessions, hours * 3600)
            tell_all(notifier)
        age(sessions, 0)
        assert tell_all(notifier) == 0

    [notice] = log_of(sessions, webhook)
    assert (notice.state, notice.attempts) == (DeliveryState.FAILED, 3)


def test_address_within_the_network_is_refused_where_it_is_connected_to(
    parts: Parts, sessions: Sessions, tenant: TenantRow
) -> None:
    outside = replace(parts, settings=parts.settings.model_copy(update={"callback_private": False}))
    receiver = Receiver()
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        finish(sessions, tenant)
        tell_all(Notifier(outside))

    assert receiver.calls == []
    [notice] = log_of(sessions, webhook)
    assert "private network" in str(notice.error)


def test_server_that_is_gone_is_told_nothing_more(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver([410])
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        jobs = [finish(sessions, tenant) for _ in range(3)]
        tell_all(notifier)
        later = finish(sessions, tenant)
        tell_all(notifier)

    assert len(receiver.calls) == 1
    with sessions.begin() as session:
        row = session.get_one(WebhookRow, webhook.id)
        assert row.disabled_at is not None
        assert "410" in str(row.disabled_reason)
    notices = log_of(sessions, webhook)
    assert {one.job_id for one in notices} == {job.id for job in jobs} - {later.id}
    assert {one.state for one in notices} == {DeliveryState.FAILED}


def test_callback_that_is_gone_ends_itself_alone(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver([410, 200])
    with receiver.running() as url:
        for _ in range(2):
            finish(sessions, tenant, url)
        tell_all(notifier)

    with sessions.begin() as session:
        callbacks = callbacks_of(session, tenant.id)
    assert callbacks.disabled_at is None
    assert [one.state for one in log_of(sessions, callbacks)] == ["failed", "delivered"]


def test_old_secret_signs_beside_the_new_one_for_a_day(
    notifier: Notifier, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver()
    with receiver.running() as url:
        old = add(sessions, tenant, url).secret
        with sessions.begin() as session:
            row = session.scalars(select(WebhookRow)).one()
            new = rotate_secret(row)
        finish(sessions, tenant)
        tell_all(notifier)
        with sessions.begin() as session:
            earlier = "old_secret_until - interval '25 hours'"
            session.execute(text(f"UPDATE webhooks SET old_secret_until = {earlier}"))  # noqa: S608 - a constant
        finish(sessions, tenant)
        tell_all(notifier)

    during, after = receiver.calls
    assert during.signatures == [signature_by_openssl(during, one) for one in (new, old)]
    assert after.signatures == [signature_by_openssl(after, new)]


def test_test_is_sent_at_once_and_tells_what_came_back(
    sessions: Sessions, tenant: TenantRow, settings: Settings
) -> None:
    receiver = Receiver([200, 503])
    with receiver.running() as url:
        webhook = add(sessions, tenant, url, "job.failed")
        good, bad = ping(webhook, settings), ping(webhook, settings)

    assert (good.status, good.error) == (200, None)
    assert (bad.status, bad.error) == (503, "The server answered 503.")
    first, second = receiver.calls
    assert first.json["type"] == "ping"
    assert first.signatures == [signature_by_openssl(first, webhook.secret)]
    assert first.id != second.id


@pytest.mark.usefixtures("hurry")
def test_server_that_hangs_holds_up_nobody_else(
    parts: Parts, sessions: Sessions, tenant: TenantRow
) -> None:
    receiver = Receiver()
    with receiver.running() as url, silent() as one, silent() as other:
        # More of them than there are threads, and each with more to tell than one call.
        for hanging in (one, other, one + "2", other + "2", one + "3"):
            add(sessions, tenant, hanging)
        webhook = add(sessions, tenant, url)
        for _ in range(5):
            finish(sessions, tenant)
        crew = Notifier(parts).crew()
        crew.start()
        until(lambda: len(receiver.calls) == 5, patience_s=20)
        until(lambda: all(log.state == "delivered" for log in log_of(sessions, webhook)))
        crew.stop()


@pytest.mark.usefixtures("hurry")
def test_servers_that_hang_do_not_hold_up_archives(
    parts: Parts, caller: Caller, finished: str, sessions: Sessions, tenant: TenantRow
) -> None:
    service = Service(200, {})
    with service.running() as archive, silent() as hanging:
        for number in range(NOTIFIERS):
            add(sessions, tenant, f"{hanging}{number}")
        finish(sessions, tenant)
        crews = [Notifier(parts).crew(), Courier(parts).crew()]
        crews[0].start()
        until(lambda: {one.attempts for one in all_notices(sessions)} == {1})
        with sessions.begin() as session:
            add_destination(session, tenant.name, "cloud", Stow(archive))
        caller.post_json(f"/v1/jobs/{finished}/deliveries", {})
        crews[1].start()
        until(lambda: service.requests, patience_s=20)
        for crew in crews:
            crew.stop()


def all_notices(sessions: Sessions) -> list[NoticeRow]:
    with sessions.begin() as session:
        return list(session.scalars(select(NoticeRow)))


def test_courier_that_is_killed_while_it_calls_loses_nothing(
    settings: Settings, sessions: Sessions, tenant: TenantRow
) -> None:
    going_on = threading.Event()
    receiver = Receiver(going_on=going_on)
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        finish(sessions, tenant)
        with courier_process(settings) as killed:
            until(lambda: receiver.calls)
            killed.kill()
        age(sessions, 0)
        with courier_process(settings) as stopped:
            until(lambda: len(receiver.calls) == 2)
            stopped.terminate()
            going_on.set()
            assert stopped.wait(60) == 0

    first, second = receiver.calls
    # By its id the receiver knows that it has heard this before.
    assert (first.id, first.body) == (second.id, second.body)
    [notice] = log_of(sessions, webhook)
    assert (notice.state, notice.attempts) == (DeliveryState.DELIVERED, 2)


def test_nothing_is_lost_where_there_is_no_redis_when_a_job_ends(
    settings: Settings, queue_stored: QueueStored, sessions: Sessions, store: StudyStore
) -> None:
    alone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    receiver = Receiver()
    with receiver.running() as url:
        job = queue_stored(callback_url=url)
        run_now(job.id, Bench(sessions, store, lambda name: name, alone, quick))  # type: ignore[arg-type, return-value] # this pipeline needs no network
        parts = Parts.assemble(alone)
        tell_all(Notifier(parts))
        parts.close()

    assert [call.json["data"]["id"] for call in receiver.calls] == [str(job.id)]


def test_log_names_the_host_and_nothing_else_of_an_address(
    notifier: Notifier,
    sessions: Sessions,
    tenant: TenantRow,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    receiver = Receiver([500, 410])
    with receiver.running() as url:
        webhook = add(sessions, tenant, url)
        finish(sessions, tenant, url.replace("hook", "done"))
        tell_all(notifier)

    said = "\n".join([caplog.text, *capsys.readouterr()])
    assert "notice.postponed" in said
    assert "127.0.0.1" in said
    assert not [word for word in ("/hook", "/done", "token=t", webhook.secret) if word in said]
