"""Around every request: its id, its line in the log, its headers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from db.tables import TenantRow
from tests.api.caller import Caller


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield captured


def test_request_gets_an_id_that_is_in_the_answer_and_in_the_log(
    anyone: Caller, lines: list[EventDict]
) -> None:
    answer = anyone.get("/v1/jobs")

    [line] = lines
    assert line["request_id"] == answer.headers["X-Request-ID"] == answer.json["request_id"]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/v1/jobs", 401)


def test_client_may_choose_the_id(anyone: Caller) -> None:
    answer = anyone.get("/v1/jobs", headers={"X-Request-ID": "ris-4711"})

    assert answer.headers["X-Request-ID"] == "ris-4711"


@pytest.mark.parametrize("chosen", ["", "a b", 'x"y', "ü", "x" * 65, "{}"])
def test_id_that_would_disturb_a_log_is_replaced(anyone: Caller, chosen: str) -> None:
    answer = anyone.get("/v1/jobs", headers={"X-Request-ID": chosen})

    assert answer.headers["X-Request-ID"] != chosen


def test_log_holds_neither_keys_nor_invitations_nor_what_is_in_a_study(
    caller: Caller, archive: bytes, key: str, lines: list[EventDict]
) -> None:
    caller.send(archive)
    caller.get("/welcome", token="an-invitation")
    caller.send(b"no zip")

    written = json.dumps(lines, default=str)
    assert "study.received" in written
    secrets = (key, "an-invitation", "Phantom^Hilum", "PHANTOM-")
    assert not [secret for secret in secrets if secret in written]


def test_line_of_a_request_names_the_hospital(
    caller: Caller, tenant: TenantRow, lines: list[EventDict]
) -> None:
    caller.get("/v1/jobs")

    [line] = [line for line in lines if line["event"] == "request"]
    assert line["tenant_id"] == str(tenant.id)


def test_questions_after_health_are_not_logged(anyone: Caller, lines: list[EventDict]) -> None:
    anyone.get("/health/live")
    anyone.get("/health/ready")

    assert not lines


@pytest.mark.parametrize("path", ["/v1/jobs", "/sign-in", "/docs", "/nowhere", "/health/live"])
def test_answers_tell_browsers_to_be_careful(caller: Caller, path: str) -> None:
    headers = caller.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_pictures_of_a_patient_are_not_kept(caller: Caller, finished: str) -> None:
    answer = caller.get(f"/v1/reports/{finished}/montage.png")

    assert answer.headers["Cache-Control"] == "no-store"


def test_stylesheet_may_be_kept(anyone: Caller) -> None:
    assert anyone.get("/static/hilum.css").headers["Cache-Control"] != "no-store"


def test_data_of_an_api_loads_nothing_in_a_browser(caller: Caller) -> None:
    policy: Any = caller.get("/v1/jobs").headers["Content-Security-Policy"]

    assert "script-src" not in policy
    assert "style-src" not in policy
