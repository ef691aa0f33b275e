"""The receiver that the documents show takes what we send, and nothing else."""

import os
import re
import time
from typing import Any

import pytest

from hilum.webhooks import EVENTS, new_secret, sign
from tests.docs.places import read

NOTICE = "b2e6c9a4-0000-4000-8000-000000000007"
BODY = b'{"type":"job.succeeded"}'


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(os.environ, "HOOK_SECRET", new_secret())
    return os.environ["HOOK_SECRET"]


@pytest.fixture
def is_news(secret: str) -> Any:
    """The function of the document, run as it stands there."""
    assert secret
    [code] = re.findall(r"^```\n(import base64.*?)^```", read("api.md"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own document
    return names["is_news"]


def test_receiver_takes_news_once(is_news: Any, secret: str) -> None:
    first = sign([secret], NOTICE, int(time.time()), BODY)
    again = sign([secret], NOTICE, int(time.time()) + 30, BODY)

    assert is_news(first, BODY)
    assert not is_news(again, BODY)


def test_receiver_takes_news_while_the_secret_changes(is_news: Any, secret: str) -> None:
    assert is_news(sign([new_secret(), secret], NOTICE, int(time.time()), BODY), BODY)


def test_receiver_refuses_what_is_made_up_changed_or_old(is_news: Any, secret: str) -> None:
    now_s = int(time.time())
    sound = sign([secret], NOTICE, now_s, BODY)

    for headers, body in (
        (sign([new_secret()], NOTICE, now_s, BODY), BODY),
        (sound, BODY + b" "),
        (sound | {"webhook-id": "another"}, BODY),
        (sound | {"webhook-timestamp": str(now_s + 1)}, BODY),
        (sign([secret], NOTICE, now_s - 3600, BODY), BODY),
    ):
        with pytest.raises(PermissionError):
            is_news(headers, body)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("document", ["api.md", "cli.md"])
def test_every_event_is_named(event: str, document: str) -> None:
    assert f"`{event}`" in read(document)
