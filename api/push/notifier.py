# SPDX-License-Identifier: Apache-2.0
"""Tells hospitals' own servers how jobs ended: signed, one at a time to each, until they take it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from structlog.contextvars import bound_contextvars

from api.parts import Parts
from api.push.crew import Crew
from api.push.guarded import post
from db.notices import Notice, note_answer, take_notice
from db.tables import WebhookRow, now
from db.webhooks import address_of, keys_of
from hilum.errors import HilumError
from hilum.logs import describe_crash
from hilum.settings import Settings
from hilum.webhooks import PING, sign, write_body

NOTIFIERS: Final = 4
"""Servers told at the same time. They take a moment each, or their few seconds without an answer."""

LEASE_S: Final = 90.0
"""Longer than any call takes, a slow name service included."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call.

    Attributes:
        status: of HTTP; None where nothing came back.
        error: why it does not count as taken, in a sentence; None where it does.
        seconds: how long it took.
    """

    status: int | None
    error: str | None
    seconds: float


class Notifier:
    """Sends notices; several processes may have one each."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def crew(self) -> Crew:
        """Return the threads that send, beside those that deliver: archives wait for none of it."""
        return Crew("notifier", NOTIFIERS, self.tell_one)

    def tell_one(self) -> bool:
        """Send the notice that has been due longest; false where none is due."""
        with self._parts.sessions.begin() as session:
            notice = take_notice(session, lease_s=LEASE_S)
        if notice is None:
            return False
        # The path and query of an address may hold a secret of the receiver's.
        host = urlsplit(notice.url).hostname
        with bound_contextvars(job_id=str(notice.job_id), notice=notice.event, host=host):
            self._tell(notice)
        return True

    def _tell(self, notice: Notice) -> None:
        answer = call(notice.url, notice.body, str(notice.id), notice.keys, self._parts.settings)
        with self._parts.sessions.begin() as session:
            state = note_answer(session, notice, answer.status, answer.error)
        if answer.error is None:
            log.info("notice.sent", status=answer.status, recorded=state is not None)
        else:
            log.warning("notice.postponed", reason=answer.error, state=state)


def ping(webhook: WebhookRow, settings: Settings) -> Answer:
    """Send a webhook a test, right now and once, and return what came back.

    Raises:
        InvalidRequest: the webhook has no address of its own.
    """
    body = write_body(PING, now(), {"webhook_id": str(webhook.id)})
    return call(address_of(webhook), body, str(uuid4()), keys_of(webhook), settings)


def call(url: str, body: str, notice_id: str, keys: Sequence[str], settings: Settings) -> Answer:
    """Call a server once and return what came of it; nothing that goes wrong is raised.

    Args:
        url: of the server.
        body: what is sent.
        notice_id: the same at every attempt.
        keys: secrets that it is signed with.
        settings: say whether private networks are allowed.
    """
    began, content = time.monotonic(), body.encode()
    status, error = None, None
    headers = sign(keys, notice_id, int(time.time()), content)
    try:
        status = post(url, content, headers, allow_private=settings.callback_private)
        error = _why_not(status)
    except HilumError as refusal:
        error = refusal.message
    except Exception as crash:  # noqa: BLE001 - one address that nobody thought of must not stop the rest
        log.error("notice.crashed", **describe_crash(crash))  # noqa: TRY400 - a message may quote the address
        error = f"The call broke off with {type(crash).__name__}; the log has the place."
    return Answer(status, error, round(time.monotonic() - began, 3))


def _why_not(status: int) -> str | None:
    """Return why an answer does not count as taken; None where it does."""
    if status == HTTPStatus.GONE:
        return "The server answered 410: it is gone for good."
    return None if HTTPStatus(200) <= status < HTTPStatus(300) else f"The server answered {status}."
