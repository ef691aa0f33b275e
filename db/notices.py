# SPDX-License-Identifier: Apache-2.0
"""What is on its way to hospitals' own servers: written with the end of a job, sent until taken."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select, update
from sqlalchemy.orm import Session, joinedload

from db.outgoing import ANEW, Held, Outbox
from db.pages import Conditions, Listing, Page, SortColumns, fetch_page, iterate, narrow
from db.session import Sessions
from db.tables import OPEN, JobRow, NoticeRow, WebhookRow, now
from db.webhooks import callbacks_of, disable, keys_of
from hilum.destinations import DeliveryState
from hilum.errors import UnknownDelivery, WebhookDisabled
from hilum.findings import Report
from hilum.webhooks import event_of, write_body

NOTICES: Final = Outbox(NoticeRow, WebhookRow, (NoticeRow.webhook_id, NoticeRow.host))
"""One at a time to each webhook, and to each host that jobs name by themselves."""

SORTS: SortColumns = {"created_at": NoticeRow.created_at}


@dataclass(frozen=True, slots=True)
class Notice(Held):
    """A notice that a courier has taken.

    Attributes:
        job_id: whose end it tells.
        webhook_id: who signs it.
        event: of `hilum.webhooks.EVENTS`.
        url: where to; its path may hold a secret of the receiver's.
        body: what is sent.
        keys: secrets that it is signed with.
    """

    job_id: UUID
    webhook_id: UUID
    event: str
    url: str = field(repr=False)
    body: str = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class NoticeFilter:
    """Which notices a list holds; None asks nothing.

    Attributes:
        state, event, job_id: exactly this one.
        since, until: written at or after, and before.
    """

    state: DeliveryState | None = None
    event: str | None = None
    job_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


FILTERS: Conditions = {
    "state": NoticeRow.state.__eq__,
    "event": NoticeRow.event.__eq__,
    "job_id": NoticeRow.job_id.__eq__,
    "since": NoticeRow.created_at.__ge__,
    "until": NoticeRow.created_at.__lt__,
}


# ── Writing ───────────────────────────────────────────────────────────────────────────────────


def queue_notices(session: Session, job: JobRow, report: Report | None = None) -> None:
    """Have everybody told who wants to know that a job has ended as it has."""
    receivers = [(webhook_id, "") for webhook_id in session.scalars(_wanting(job))]
    if job.callback_url is not None:
        host = urlsplit(job.callback_url).netloc.lower()
        receivers.append((callbacks_of(session, job.tenant_id).id, host))
    if not receivers:
        return
    event = event_of(job.state)
    # Kept as it is now: a job that is tried again later tells a story of its own.
    body = write_body(event, job.finished_at or now(), _describe(job, report))
    at = {"created_at": func.now(), "began_at": func.now(), "due_at": func.now()}
    session.add_all(
        NoticeRow(webhook_id=webhook_id, job_id=job.id, host=host, event=event, body=body, **at)
        for webhook_id, host in receivers
    )


def _wanting(job: JobRow) -> Select[UUID]:
    gets = or_(WebhookRow.events == [], WebhookRow.events.contains([event_of(job.state)]))
    enabled = (WebhookRow.url.is_not(None), WebhookRow.disabled_at.is_(None))
    chosen = select(WebhookRow.id).where(WebhookRow.tenant_id == job.tenant_id, gets, *enabled)
    # Waits for who removes a webhook, and passes over what is gone then.
    return chosen.with_for_update(read=True, key_share=True)


def _describe(job: JobRow, report: Report | None) -> dict[str, Any]:
    failed = {"code": job.error_code, "message": job.error_message}
    return {
        "id": str(job.id),
        "study_id": str(job.study_id),
        "study_uid": job.study.study_uid,
        "pipeline": job.pipeline,
        "network": job.network,
        "state": job.state,
        "attempts": job.attempts,
        "error": failed if job.error_code else None,
        "report": None if report is None else _summary(report),
        "timings_s": job.timings_s,
        "finished_at": job.finished_at and job.finished_at.isoformat(),
    }


def _summary(report: Report) -> dict[str, Any]:
    assessment = report.assessment
    return {
        "verdict": assessment.verdict,
        "grade": assessment.grade,
        "review": bool(assessment.review),
        "lesion_share": report.total.share,
    }


# ── Sending ───────────────────────────────────────────────────────────────────────────────────


def take_notice(session: Session, *, lease_s: float) -> Notice | None:
    """Take the notice that has been due longest; None where none is.

    Args:
        session: one transaction.
        lease_s: a courier unheard of for so long is lost, and another takes what it had.
    """
    while (held := NOTICES.take(session, lease_s=lease_s)) is not None:
        row = _load(session, held)
        if row.webhook.disabled_at is None:
            return _notice(held, row)
        _give_up_on(session, row.webhook)
    return None


def note_answer(
    session: Session, notice: Notice, status: int | None, error: str | None
) -> DeliveryState | None:
    """Note what an attempt came to; return what comes of it, None where it is another courier's.

    Args:
        session: one transaction.
        notice: what was sent.
        status: of the answer; None where there was none.
        error: why it does not count as taken; None where it does.
    """
    if error is None:
        done = {"status": status, "error": None, "delivered_at": func.now()}
        return _settle(session, notice, DeliveryState.DELIVERED, done)
    if status == HTTPStatus.GONE:
        disable(session, notice.webhook_id, notice.url, error)
        return _settle(session, notice, DeliveryState.FAILED, {"status": status, "error": error})
    return NOTICES.postpone(session, notice, error, is_silent=status is None, status=status)


def _settle(
    session: Session, notice: Notice, state: DeliveryState, values: dict[str, Any]
) -> DeliveryState | None:
    return state if NOTICES.settle(session, notice, state, **values) else None


def _load(session: Session, held: Held) -> NoticeRow:
    with_both = (joinedload(NoticeRow.webhook), joinedload(NoticeRow.job))
    query = select(NoticeRow).where(NoticeRow.id == held.id).options(*with_both)
    return session.scalars(query.execution_options(populate_existing=True)).one()


def _notice(held: Held, row: NoticeRow) -> Notice:
    return Notice(
        held.id,
        held.token,
        row.job_id,
        row.webhook_id,
        row.event,
        # The job's own address never changes, that of a webhook may have been mended.
        row.webhook.url or row.job.callback_url or "",
        row.body,
        keys_of(row.webhook),
    )


def _give_up_on(session: Session, webhook: WebhookRow) -> None:
    """End all that is to go to a webhook, as nothing is sent there any more."""
    ended = update(NoticeRow).where(NoticeRow.webhook_id == webhook.id, NoticeRow.state.in_(OPEN))
    values = {"state": DeliveryState.FAILED, "claim": None, "error": "Its webhook is disabled."}
    session.execute(ended.values(values).execution_options(synchronize_session=False))


# ── Asking ────────────────────────────────────────────────────────────────────────────────────


def list_notices(
    session: Session, webhook: WebhookRow, chosen: NoticeFilter, page: Page
) -> Listing[NoticeRow]:
    """Return one page of what was, is and will be sent to a webhook.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = narrow(select(NoticeRow).where(NoticeRow.webhook_id == webhook.id), chosen, FILTERS)
    return fetch_page(session, query, page, columns=SORTS, id_column=NoticeRow.id)


def iterate_notices(
    sessions: Sessions, webhook: WebhookRow, chosen: NoticeFilter, sort: str = "-created_at"
) -> Iterator[NoticeRow]:
    """Yield every notice of a list, for a file of unknown length."""
    return iterate(
        sessions, lambda session, page: list_notices(session, webhook, chosen, page), sort
    )


def count_notices(session: Session) -> dict[tuple[UUID, DeliveryState], int]:
    """Return how many notices of each webhook are in each state."""
    columns = (NoticeRow.webhook_id, NoticeRow.state)
    counted = session.execute(select(*columns, func.count()).group_by(*columns))
    return {(webhook, state): count for webhook, state, count in counted}


def send_notice_again(session: Session, webhook: WebhookRow, notice_id: UUID) -> NoticeRow:
    """Send a notice once more, under its old id, whatever became of it before; return it.

    Raises:
        UnknownDelivery: the webhook has none with this id.
        WebhookDisabled: nothing is sent there.
    """
    sent = _send_again(session, webhook, NoticeRow.id == notice_id)
    if not sent:
        raise UnknownDelivery(f"Webhook {webhook.id} has no delivery {notice_id}.")
    return sent[0]


def retry_failed_notices(session: Session, webhook: WebhookRow) -> int:
    """Send what was given up on, as after a long outage; return how many notices that are.

    Raises:
        WebhookDisabled: nothing is sent there.
    """
    return len(_send_again(session, webhook, NoticeRow.state == DeliveryState.FAILED))


def _send_again(
    session: Session, webhook: WebhookRow, condition: ColumnElement[bool]
) -> list[NoticeRow]:
    if webhook.disabled_at is not None:
        raise WebhookDisabled(
            f"Webhook {webhook.id} is disabled: {webhook.disabled_reason} Enable it first."
        )
    again = update(NoticeRow).where(NoticeRow.webhook_id == webhook.id, condition)
    return list(
        session.scalars(
            again.values(**ANEW, status=None)
            .returning(NoticeRow)
            .execution_options(synchronize_session=False, populate_existing=True)
        )
    )
