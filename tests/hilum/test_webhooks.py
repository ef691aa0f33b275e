import base64
import json
from datetime import UTC, datetime

import pytest

from hilum.jobs import FINAL_STATES
from hilum.webhooks import EVENTS, event_of, new_secret, sign, write_body

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOTICE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT_S = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
"""The example that the reference libraries of Standard Webhooks are tested with."""


def test_signature_is_that_of_the_reference_libraries() -> None:
    assert sign([SECRET], NOTICE, AT_S, BODY) == {
        "webhook-id": NOTICE,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_two_secrets_sign_beside_each_other() -> None:
    other = new_secret()

    both = sign([other, SECRET], NOTICE, AT_S, BODY)["webhook-signature"]

    first = sign([other], NOTICE, AT_S, BODY)["webhook-signature"]
    assert both == f"{first} {SIGNATURE}"


@pytest.mark.parametrize(
    ("notice", "at_s", "body"),
    [("msg_2", AT_S, BODY), (NOTICE, AT_S + 1, BODY), (NOTICE, AT_S, BODY + b" ")],
)
def test_what_is_changed_has_another_signature(notice: str, at_s: int, body: bytes) -> None:
    assert sign([SECRET], notice, at_s, body)["webhook-signature"] != SIGNATURE


def test_secrets_are_long_and_each_its_own() -> None:
    secrets = {new_secret() for _ in range(100)}

    assert len(secrets) == 100
    assert {len(base64.b64decode(one.removeprefix("whsec_"))) for one in secrets} == {32}


def test_every_final_state_is_an_event() -> None:
    assert set(EVENTS) == {event_of(state) for state in FINAL_STATES}
    assert {"job.succeeded", "job.failed", "job.cancelled"} <= set(EVENTS)


def test_body_is_compact_and_begins_with_what_happened() -> None:
    body = write_body("job.failed", datetime(2026, 1, 2, tzinfo=UTC), {"id": "7"})

    assert json.loads(body)["data"] == {"id": "7"}
    assert body.startswith('{"type":"job.failed","timestamp":"2026-01-02T00:00:00+00:00",')
