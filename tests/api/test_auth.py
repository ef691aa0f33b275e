"""Who may ask, and that one hospital never sees another's rows."""

import re
import time
from collections.abc import Iterator

import pytest
from apiflask import APIFlask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from api import keys
from api.keys import KnownKeys
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import new_key, revoke_key
from tests.api.caller import Answer, Caller
from tests.api.pieces import TUS

OPEN = {"/health/live", "/health/ready", "/metrics", "/problems", "/openapi.json", "/docs"}
"""Addresses that tell nothing of any hospital."""

PAGES = ("dashboard.", "door.")
"""Endpoints for people, who have no key: tests/api/dashboard knows who sees what there."""


def guarded_calls(app: APIFlask, **ids: str) -> Iterator[tuple[str, str]]:
    """Yield method and path of every view that is about a hospital's rows."""
    for rule in app.url_map.iter_rules():
        if rule.rule in OPEN or rule.endpoint in {"static", "docs.asset"}:
            continue
        if rule.endpoint.startswith(PAGES):
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield method, _fill(rule, ids)


def _fill(rule: Rule, ids: dict[str, str]) -> str:
    # Of several words that a place may hold, the first.
    path = re.sub(r"<any\((\w+).*?\):kind>", r"\1", rule.rule).replace("<int:index>", "0")
    for name, value in ids.items():
        path = path.replace(f"<uuid:{name}>", value)
    path = re.sub(r"<(path:)?(study_uid|series_uid|sop_uid|frames|place)>", "1", path)
    assert "<" not in path
    return path


def call(client: FlaskClient, method: str, path: str, headers: dict[str, str]) -> Answer:
    # Without it, a request to make a job urgent is wrong whoever sends it.
    body = {"priority": "stat"} if (method, path[:9]) == ("PATCH", "/v1/jobs/") else None
    return Answer.of(client.open(path, method=method, headers=headers, json=body))


def test_no_view_of_rows_answers_without_a_key(
    app: APIFlask, finished: str, upload: str, told: dict[str, str]
) -> None:
    ids = {"job_id": finished, "study_id": finished, "upload_id": upload, "batch_id": finished}
    ids |= told
    calls = list(guarded_calls(app, **ids))

    answers = {each: call(app.test_client(), *each, {}) for each in calls}

    assert len(answers) >= 14
    assert {answer.status for answer in answers.values()} == {401}


def test_every_view_of_one_job_is_404_for_another_hospital(
    app: APIFlask,
    caller: Caller,
    stranger: Caller,
    finished: str,
    upload: str,
    batch: str,
    told: dict[str, str],
) -> None:
    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]
    ids = {"job_id": finished, "study_id": study_id, "upload_id": upload, "batch_id": batch} | told
    about_one = [
        (method, path)
        for method, path in guarded_calls(app, **ids)
        if any(one in path for one in ids.values())
    ]
    headers = stranger.headers(TUS | {"Upload-Offset": "0"})

    refusals = {each: call(stranger.client, *each, headers).refusal for each in about_one}

    assert len(refusals) == 30
    assert {status for status, _ in refusals.values()} == {404}
    assert caller.get(f"/v1/jobs/{finished}").json["state"] == "succeeded"


def test_another_hospital_may_not_run_a_study(
    caller: Caller, stranger: Caller, finished: str
) -> None:
    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]

    answer = stranger.post_json("/v1/jobs", {"study_id": study_id})

    assert answer.refusal == (404, "unknown_study")


@pytest.mark.parametrize("kind", ["jobs", "studies", "reports"])
@pytest.mark.parametrize("form", ["json", "csv"])
def test_lists_hold_the_rows_of_the_caller_alone(
    caller: Caller, stranger: Caller, finished: str, kind: str, form: str
) -> None:
    own = caller.get(f"/v1/{kind}", format=form).text
    others = stranger.get(f"/v1/{kind}", format=form).text

    study_id = caller.get(f"/v1/jobs/{finished}").json["study_id"]
    assert study_id in own
    assert study_id not in others
    assert finished not in others


def test_missing_key_is_asked_for(anyone: Caller) -> None:
    answer = anyone.get("/v1/jobs")

    assert answer.refusal == (401, "missing_key")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="hilum"'


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Basic aGk6aG8=", "hilum_x", "Digest x=y", "Bearer\tx"]
)
def test_header_without_a_bearer_key_counts_as_none(anyone: Caller, header: str) -> None:
    answer = anyone.get("/v1/jobs", headers={"Authorization": header})

    assert answer.status == 401
    assert answer.json["code"] in {"missing_key", "wrong_key"}


def test_wrong_key_is_refused(app: APIFlask) -> None:
    answer = Caller(app.test_client(), "hilum_" + "x" * 43).get("/v1/jobs")

    assert answer.refusal == (401, "wrong_key")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_revoked_key_opens_nothing_once_it_is_forgotten(
    caller: Caller, sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "REMEMBER_S", 0.05)
    assert caller.get("/v1/jobs").status == 200

    with sessions.begin() as session:
        revoke_key(session, tenant.name, "scanner")
    time.sleep(0.06)

    assert caller.get("/v1/jobs").refusal == (401, "wrong_key")


def test_keys_are_remembered_for_a_few_seconds_at_most() -> None:
    assert keys.REMEMBER_S <= 5


def test_memory_of_keys_does_not_grow_without_end(
    sessions: Sessions, tenant: TenantRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "REMEMBER_KEYS", 2)
    known = KnownKeys()
    with sessions.begin() as session:
        several = [new_key(session, tenant.name, str(number)) for number in range(4)]

    found = {known.find(key, sessions).tenant_id for key in several}

    assert found == {tenant.id}
    assert len(known._known) <= 2
