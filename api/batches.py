# SPDX-License-Identifier: Apache-2.0
"""Batches over HTTP: many studies by one call, and one status of them all."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import url_for
from sqlalchemy.orm import Session
from structlog.contextvars import get_contextvars

from api.auth import by_key, caller, tenant_id
from api.intake import admit
from api.lists import BatchesQuery, Wanted
from api.orders import Order, UploadHeaders
from api.parts import parts
from api.schemas.batches import (
    BatchesJSON,
    BatchHeaders,
    BatchJSON,
    BatchOrderJSON,
    BatchPollHeaders,
)
from db.batches import (
    BatchFilter,
    Standing,
    Wish,
    add_batch,
    batch_for,
    close_batch,
    fingerprint,
    jobs_to_cancel,
    list_batches,
    repeated_batch,
    standings,
    submit_studies,
    time_left_s,
)
from db.changes import cancel_job
from db.tables import BatchRow
from hilum.errors import NotCancellable

batches = APIBlueprint("batches", __name__, url_prefix="/v1/batches", tag="Batches")

POLL_S: Final = 5
"""When a client should ask again; a batch takes longer than a job."""


@batches.post("")
@batches.auth_required(by_key)
@batches.input(UploadHeaders(only=["idempotency_key"]), location="headers", arg_name="headers")
@batches.input(BatchOrderJSON, location="json", arg_name="asked")
@batches.output(BatchJSON, status_code=202, headers=BatchHeaders)
@batches.doc(
    responses={
        400: "The body is no JSON.",
        404: "There are no such studies; the message names them.",
        413: "The body is too large.",
        429: "The hospital has as much as it may have.",
    }
)
def submit(headers: dict[str, Any], asked: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
    """Run a pipeline over many studies that are kept already, all of them or none.

    The job that a study has already, by the same pipeline and network, is part of the batch.
    Without studies the batch is open: uploads and jobs that name it join it.
    """
    asked_sha256 = fingerprint(asked)
    label, study_ids = asked.pop("label", None), list(dict.fromkeys(asked.pop("study_ids")))
    key = headers.get("idempotency_key")
    order = Order.of(tenant_id(), asked, idempotency_key=key, settings=parts().settings)
    with parts().sessions.begin() as session:
        batch = repeated_batch(session, tenant_id(), key, asked_sha256)
        new = 0
        if batch is None:
            batch, new = _make(session, order, study_ids, label, asked_sha256)
    if new:
        parts().bell.ring(new)
    return _answer(batch.id, 202)


def _make(
    session: Session, order: Order, study_ids: list[UUID], label: str | None, asked_sha256: str
) -> tuple[BatchRow, int]:
    """Return a new batch, and how many of its jobs are new."""
    wish = Wish(
        pipeline=order.pipeline,
        network=order.find_network(),
        priority=order.priority,
        callback_url=order.callback_url,
        request_id=get_contextvars().get("request_id"),
    )
    batch = add_batch(
        session,
        order.tenant_id,
        label=label,
        is_open=not study_ids,
        idempotency_key=order.idempotency_key,
        asked_sha256=asked_sha256 if order.idempotency_key else None,
    )
    if batch is None:
        # The same request came twice at once, and the other one was first.
        present = repeated_batch(session, order.tenant_id, order.idempotency_key, asked_sha256)
        assert present is not None  # noqa: S101 - its key stood in the way, and no batch is removed
        return present, 0
    new = submit_studies(
        session, batch, study_ids, wish, admit=lambda jobs: admit(session, order, jobs)
    )
    return batch, new


@batches.get("")
@batches.auth_required(by_key)
@batches.input(BatchesQuery, location="query", arg_name="query", unknown=None)
@batches.output(BatchesJSON)
def list_all(query: dict[str, Any]) -> dict[str, Any]:
    """List batches."""
    wanted = Wanted.of(BatchFilter, query)
    with parts().sessions.begin() as session:
        listing = list_batches(session, tenant_id(), wanted.chosen, wanted.page)
        found = standings(session, (batch.id for batch in listing.rows))
    items = [_batch(batch, found[batch.id]) for batch in listing.rows]
    return {"items": items, "next_cursor": listing.next_cursor}


@batches.get("/<uuid:batch_id>")
@batches.auth_required(by_key)
@batches.output(BatchJSON, headers=BatchPollHeaders)
def show(batch_id: UUID) -> tuple[Any, int, dict[str, str]]:
    """Show where a batch stands: its jobs by state, and how much is done.

    `Retry-After` says when to ask again; it is absent once the batch is finished.
    """
    document, status, headers = _answer(batch_id, 200)
    return document, status, {name: headers[name] for name in headers if name != "Location"}


@batches.post("/<uuid:batch_id>/close")
@batches.auth_required(by_key)
@batches.output(BatchJSON, headers=BatchHeaders)
def close(batch_id: UUID) -> tuple[Any, int, dict[str, str]]:
    """Let no more studies join a batch, so that it is finished once its jobs have ended."""
    with parts().sessions.begin() as session:
        close_batch(session, tenant_id(), batch_id)
    return _answer(batch_id, 200)


@batches.delete("/<uuid:batch_id>")
@batches.auth_required(by_key)
@batches.output(BatchJSON, headers=BatchHeaders)
def cancel(batch_id: UUID) -> tuple[Any, int, dict[str, str]]:
    """Close a batch and cancel what has not ended, each job by itself; what has ended stays.

    Jobs that run are asked to stop, also where another batch has them too.
    """
    with parts().sessions.begin() as session:
        close_batch(session, tenant_id(), batch_id)
        job_ids = jobs_to_cancel(session, batch_id)
    for job_id in job_ids:
        # It may have ended since.
        with suppress(NotCancellable), parts().sessions.begin() as session:
            cancel_job(session, tenant_id(), job_id, by=caller())
    return _answer(batch_id, 200)


def _answer(batch_id: UUID, status: int) -> tuple[dict[str, Any], int, dict[str, str]]:
    with parts().sessions.begin() as session:
        batch = batch_for(session, tenant_id(), batch_id)
        standing = standings(session, [batch_id])[batch_id]
        eta_s = None if standing.has_ended else time_left_s(session, batch_id)
    document = _batch(batch, standing) | {"eta_s": None if eta_s is None else round(eta_s, 1)}
    headers = {"Location": document["links"]["self"]}
    if not document["finished"]:
        headers["Retry-After"] = str(POLL_S)
    return document, status, headers


def _batch(batch: BatchRow, standing: Standing) -> dict[str, Any]:
    is_open = batch.closed_at is None
    return {
        "id": batch.id,
        "label": batch.label,
        "open": is_open,
        "total": standing.total,
        "jobs": standing.counts,
        "fraction": standing.fraction,
        "finished": not is_open and standing.has_ended,
        "created_at": batch.created_at,
        "links": _links(batch, standing),
    }


def _links(batch: BatchRow, standing: Standing) -> Mapping[str, str | None]:
    self = url_for("batches.show", batch_id=batch.id)
    return {
        "self": self,
        "jobs": url_for("jobs.list_all", batch_id=batch.id),
        "close": f"{self}/close" if batch.closed_at is None else None,
        "cancel": None if standing.has_ended else self,
    }
