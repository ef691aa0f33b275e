import csv
import io
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from apiflask import APIFlask

from api.parts import Parts
from api.push.notifier import Notifier
from db.session import Sessions
from db.tables import TenantRow
from hilum.settings import Settings
from tests.api.caller import Answer, Caller
from tests.api.push.archives import free_port
from tests.api.push.receivers import Receiver, signature_by_openssl
from tests.db.factories import finished_job, queue_job

SHOWN = {
    "id",
    "url",
    "events",
    "old_secret_until",
    "disabled_at",
    "disabled_reason",
    "created_at",
}


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


def add(caller: Caller, url: str, **more: Any) -> Any:
    answer = caller.post_json("/v1/webhooks", {"url": url} | more)
    assert answer.status == 201, answer.text
    return answer.json


def post(caller: Caller, path: str) -> Answer:
    """Call without a body, as a button does."""
    return Answer.of(caller.client.post(path, headers=caller.headers()))


def patch(caller: Caller, path: str, document: Any) -> Answer:
    return Answer.of(caller.client.patch(path, json=document, headers=caller.headers()))


def finish(sessions: Sessions, tenant: TenantRow, count: int = 1) -> None:
    for _ in range(count):
        with sessions.begin() as session:
            finished_job(session, tenant.id)


def test_secret_is_shown_when_it_is_made_and_never_again(caller: Caller, url: str) -> None:
    made = add(caller, url)

    shown = caller.get(f"/v1/webhooks/{made['id']}")
    listed = caller.get("/v1/webhooks")

    assert set(made) == SHOWN | {"secret"}
    assert made["secret"].startswith("whsec_")
    assert shown.json == {name: made[name] for name in SHOWN}
    assert listed.json["items"][1] == shown.json
    assert made["secret"] not in shown.text + listed.text


def test_hospital_has_one_for_callbacks_from_the_beginning(caller: Caller) -> None:
    first, again = caller.get("/v1/webhooks").json, caller.get("/v1/webhooks").json

    [callbacks] = first["items"]
    assert callbacks["url"] is None
    assert again == first
    rotated = post(caller, f"/v1/webhooks/{callbacks['id']}/rotate")
    assert rotated.json["secret"].startswith("whsec_")


def test_what_is_told_is_in_the_log(
    caller: Caller,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    receiver: Receiver,
    url: str,
) -> None:
    receiver.statuses = [500, 200]
    path = f"/v1/webhooks/{add(caller, url)['id']}/deliveries"
    finish(sessions, tenant)
    before = caller.get(path).json["items"]
    Notifier(parts).tell_one()

    [failed] = caller.get(path).json["items"]
    again = post(caller, f"{path}/{failed['id']}/retry")
    Notifier(parts).tell_one()
    [done] = caller.get(path).json["items"]

    assert [one["state"] for one in before] == ["waiting"]
    assert (failed["state"], failed["status"], failed["attempts"]) == ("waiting", 500, 1)
    assert failed["error"] == "The server answered 500."
    assert failed["due_at"] > failed["created_at"]
    assert (again.status, again.json["state"], again.json["error"]) == (202, "waiting", None)
    assert (done["state"], done["status"], done["attempts"]) == ("delivered", 200, 2)
    assert (done["error"], done["due_at"]) == (None, None)
    assert done["delivered_at"] is not None
    assert {call.id for call in receiver.calls} == {done["id"]}


def test_log_comes_in_pages_narrowed_and_as_a_file(
    caller: Caller, sessions: Sessions, tenant: TenantRow, url: str
) -> None:
    path = f"/v1/webhooks/{add(caller, url)['id']}/deliveries"
    finish(sessions, tenant, 3)

    first = caller.get(path, limit=2).json
    rest = caller.get(path, limit=2, cursor=first["next_cursor"]).json
    file = caller.get(path, format="csv").text

    ids = [one["id"] for one in first["items"] + rest["items"]]
    assert len(set(ids)) == 3
    assert rest["next_cursor"] is None
    assert [row["id"] for row in csv.DictReader(io.StringIO(file))] == ids
    assert caller.get(path, event="job.failed").json["items"] == []
    assert len(caller.get(path, state="waiting").json["items"]) == 3
    assert caller.get(path, stat="waiting").refusal == (422, "invalid_request")


def test_button_sends_a_test_right_now(caller: Caller, receiver: Receiver, url: str) -> None:
    receiver.statuses = [200, 404]
    webhook = add(caller, url)
    path = f"/v1/webhooks/{webhook['id']}"

    good, bad = post(caller, f"{path}/test").json, post(caller, f"{path}/test").json

    assert (good["delivered"], good["status"], good["error"]) == (True, 200, None)
    assert (bad["delivered"], bad["status"]) == (False, 404)
    call = receiver.calls[0]
    assert call.json["type"] == "ping"
    assert call.signatures == [signature_by_openssl(call, webhook["secret"])]
    assert caller.get(f"{path}/deliveries").json["items"] == []


def test_button_says_what_is_wrong(caller: Caller) -> None:
    webhook = add(caller, f"http://127.0.0.1:{free_port()}/")

    answer = post(caller, f"/v1/webhooks/{webhook['id']}/test").json

    assert (answer["delivered"], answer["status"]) == (False, None)
    assert answer["error"] == "The server does not answer (ConnectError)."


def test_new_secret_is_shown_once_and_says_how_long_the_old_one_signs(
    caller: Caller, receiver: Receiver, url: str
) -> None:
    webhook = add(caller, url)
    path = f"/v1/webhooks/{webhook['id']}"

    rotated = post(caller, f"{path}/rotate").json
    post(caller, f"{path}/test")

    assert rotated["secret"] != webhook["secret"]
    assert rotated["old_secret_until"] is not None
    assert "secret" not in caller.get(path).json
    [call] = receiver.calls
    secrets = (rotated["secret"], webhook["secret"])
    assert call.signatures == [signature_by_openssl(call, one) for one in secrets]


def test_webhook_that_was_disabled_says_so_and_is_enabled_by_request(
    caller: Caller,
    parts: Parts,
    sessions: Sessions,
    tenant: TenantRow,
    receiver: Receiver,
    url: str,
) -> None:
    receiver.statuses = [410]
    path = f"/v1/webhooks/{add(caller, url)['id']}"
    finish(sessions, tenant)
    Notifier(parts).tell_one()
    [failed] = caller.get(f"{path}/deliveries").json["items"]
    retry = f"{path}/deliveries/{failed['id']}/retry"

    shown, refused = caller.get(path).json, post(caller, retry)
    enabled = patch(caller, path, {"enabled": True})
    again = post(caller, retry)

    assert shown["disabled_at"] is not None
    assert shown["disabled_reason"] == "The server answered 410: it is gone for good."
    assert refused.refusal == (409, "webhook_disabled")
    assert (enabled.json["disabled_at"], enabled.json["disabled_reason"]) == (None, None)
    assert again.status == 202


def test_webhook_is_changed_and_removed(caller: Caller, url: str) -> None:
    path = f"/v1/webhooks/{add(caller, url, events=['job.failed'])['id']}"

    changed = patch(caller, path, {"url": f"{url}&more=1", "events": []})
    stopped = patch(caller, path, {"enabled": False})
    removed = caller.delete(path)

    assert (changed.json["url"], changed.json["events"]) == (f"{url}&more=1", [])
    assert stopped.json["disabled_reason"] == "It was disabled by request."
    assert removed.status == 204
    assert caller.get(path).refusal == (404, "unknown_webhook")


def test_that_of_callbacks_is_neither_changed_nor_tried_nor_removed(caller: Caller) -> None:
    [callbacks] = caller.get("/v1/webhooks").json["items"]
    path = f"/v1/webhooks/{callbacks['id']}"

    answers = [
        patch(caller, path, {"enabled": False}),
        post(caller, f"{path}/test"),
        caller.delete(path),
    ]

    assert {answer.refusal for answer in answers} == {(422, "invalid_request")}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "invalid_request"),
        ({"url": ""}, "invalid_request"),
        ({"url": None}, "invalid_request"),
        ({"url": "ftp://example.org/"}, "unsafe_callback"),
        ({"url": "https://user:secret@example.org/"}, "unsafe_callback"),
        ({"url": "https://example.org/", "events": ["job.done"]}, "invalid_request"),
        ({"url": "https://example.org/", "events": "job.failed"}, "invalid_request"),
        ({"url": "https://example.org/", "enabled": False}, "invalid_request"),
        ({"url": "https://example.org/", "secret": "whsec_mine"}, "invalid_request"),
    ],
)
def test_what_is_no_webhook_is_refused(caller: Caller, document: Any, code: str) -> None:
    assert caller.post_json("/v1/webhooks", document).refusal == (422, code)


def test_address_within_the_network_is_refused_unless_it_is_allowed(
    app: APIFlask, caller: Caller, parts: Parts
) -> None:
    webhook = add(caller, "http://127.0.0.1/")
    outside = parts.settings.model_copy(update={"callback_private": False})
    object.__setattr__(parts, "settings", outside)

    made = caller.post_json("/v1/webhooks", {"url": "http://10.0.0.7/"})
    moved = patch(caller, f"/v1/webhooks/{webhook['id']}", {"url": "http://[::1]/"})
    tried = post(caller, f"/v1/webhooks/{webhook['id']}/test")

    assert app is not None
    assert {made.refusal, moved.refusal} == {(422, "unsafe_callback")}
    assert (tried.json["delivered"], tried.json["status"]) == (False, None)
    assert "private network" in tried.json["error"]


def test_webhooks_of_a_hospital_are_nobody_elses(
    caller: Caller, stranger: Caller, sessions: Sessions, tenant: TenantRow, url: str
) -> None:
    path = f"/v1/webhooks/{add(caller, url)['id']}"
    finish(sessions, tenant)
    [notice] = caller.get(f"{path}/deliveries").json["items"]

    answers = [
        stranger.get(path),
        stranger.delete(path),
        patch(stranger, path, {"enabled": False}),
        post(stranger, f"{path}/rotate"),
        post(stranger, f"{path}/test"),
        stranger.get(f"{path}/deliveries"),
        stranger.get(f"{path}/deliveries", format="csv"),
        post(stranger, f"{path}/deliveries/{notice['id']}/retry"),
    ]

    assert {answer.refusal for answer in answers} == {(404, "unknown_webhook")}
    assert url not in stranger.get("/v1/webhooks").text
    assert caller.get(path).json["disabled_at"] is None


def test_delivery_of_another_webhook_is_unknown(
    caller: Caller, sessions: Sessions, tenant: TenantRow, url: str
) -> None:
    first, second = (f"/v1/webhooks/{add(caller, url)['id']}/deliveries" for _ in range(2))
    finish(sessions, tenant)
    [notice] = caller.get(first).json["items"]

    for one in (notice["id"], str(uuid4())):
        assert post(caller, f"{second}/{one}/retry").refusal == (404, "unknown_delivery")


def test_job_that_is_cancelled_over_http_is_told_of(
    caller: Caller, sessions: Sessions, tenant: TenantRow, url: str
) -> None:
    path = f"/v1/webhooks/{add(caller, url)['id']}/deliveries"
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

    caller.delete(f"/v1/jobs/{job.id}")

    assert [one["event"] for one in caller.get(path).json["items"]] == ["job.cancelled"]
