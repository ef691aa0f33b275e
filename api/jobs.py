# SPDX-License-Identifier: Apache-2.0
"""Jobs over HTTP: where they stand, what happened to them, stopping them, starting more."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint, fields
from flask import Response, url_for

from api import exports
from api.auth import by_key, caller, tenant_id
from api.exports import csv_response
from api.intake import submit
from api.lists import JobsQuery, Wanted
from api.orders import Order, UploadHeaders, UploadOrderJSON
from api.parts import parts
from api.schemas.fields import CSV
from api.schemas.jobs import EventsJSON, JobHeaders, JobJSON, JobsJSON, PollHeaders
from db.changes import cancel_job
from db.jobs import (
    JobFilter,
    iterate_jobs,
    job_events,
    job_for,
    list_jobs,
)
from db.outlook import Outlook, look_ahead
from db.studies import slice_counts
from db.tables import JobRow
from hilum.jobs import RETRIABLE, Stage, State

jobs = APIBlueprint("jobs", __name__, url_prefix="/v1/jobs", tag="Jobs")

POLL_S: Final[Mapping[State, int]] = {State.QUEUED: 2, State.RUNNING: 1}
"""When a client should ask again; a final state is not asked for again."""


class JobOrderJSON(UploadOrderJSON):
    """A run of a pipeline over a study that is kept already."""

    study_id = fields.UUID(required=True)


@jobs.get("")
@jobs.auth_required(by_key)
@jobs.input(JobsQuery, location="query", arg_name="query", unknown=None)
@jobs.output(JobsJSON)
@jobs.doc(responses=CSV)
def list_all(query: dict[str, Any]) -> dict[str, Any] | Response:
    """List jobs."""
    wanted = Wanted.of(JobFilter, query)
    if wanted.as_csv:
        rows = iterate_jobs(parts().sessions, tenant_id(), wanted.chosen, wanted.page.sort)
        return csv_response("jobs", exports.JOBS, rows)
    with parts().sessions.begin() as session:
        listing = list_jobs(session, tenant_id(), wanted.chosen, wanted.page)
    return {
        "items": [listed_job(job) for job in listing.rows],
        "next_cursor": listing.next_cursor,
    }


@jobs.post("")
@jobs.auth_required(by_key)
@jobs.input(UploadHeaders(only=["idempotency_key"]), location="headers", arg_name="headers")
@jobs.input(JobOrderJSON, location="json", arg_name="order")
@jobs.output(JobJSON, status_code=202, headers=JobHeaders)
@jobs.doc(
    responses={
        400: "The body is no JSON.",
        404: "There is no such study or batch.",
        409: "The batch is closed.",
        413: "The body is too large.",
        429: "The hospital has as much as it may have.",
    }
)
def submit_again(headers: dict[str, Any], order: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
    """Run a pipeline over a study that is kept already.

    The answer is the job there is, where one of the same study, pipeline and network has not
    failed.
    """
    study_id = order.pop("study_id")
    wanted = Order.of(
        tenant_id(),
        order,
        idempotency_key=headers.get("idempotency_key"),
        settings=parts().settings,
    )
    with parts().sessions.begin() as session:
        slices = slice_counts(session, tenant_id(), [study_id])[study_id]
        job, outlook = submit(session, wanted, study_id, slices)
    if outlook is None:
        return answer_job(job, 202)
    parts().bell.ring()
    return _answer(job, outlook, 202)


@jobs.get("/<uuid:job_id>")
@jobs.auth_required(by_key)
@jobs.output(JobJSON, headers=PollHeaders)
def show(job_id: UUID) -> tuple[Any, int, dict[str, str]]:
    """Show where a job stands.

    `Retry-After` says when to ask again; it is absent once the job has ended.
    """
    with parts().sessions.begin() as session:
        job = job_for(session, tenant_id(), job_id)
        outlook = look_ahead(session, job)
    return shown_job(job, outlook), 200, _poll_headers(job)


@jobs.delete("/<uuid:job_id>")
@jobs.auth_required(by_key)
@jobs.output(JobJSON, headers=JobHeaders)
@jobs.doc(responses={409: "The job has ended already."})
def cancel(job_id: UUID) -> tuple[Any, int, dict[str, str]]:
    """Cancel a job.

    One that waits ends at once; one that runs is asked to stop and ends within moments.
    """
    with parts().sessions.begin() as session:
        cancel_job(session, tenant_id(), job_id, by=caller())
    with parts().sessions.begin() as session:
        job = job_for(session, tenant_id(), job_id)
    return answer_job(job, 200)


@jobs.get("/<uuid:job_id>/events")
@jobs.auth_required(by_key)
@jobs.output(EventsJSON)
def events(job_id: UUID) -> dict[str, Any]:
    """List what happened to a job, oldest first."""
    with parts().sessions.begin() as session:
        job = job_for(session, tenant_id(), job_id)
        return {"items": job_events(session, job.id)}


def answer_job(job: JobRow, status: int) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Return a job with its place in the queue, and where to ask for it again."""
    with parts().sessions.begin() as session:
        outlook = look_ahead(session, job)
    return _answer(job, outlook, status)


def _answer(
    job: JobRow, outlook: Outlook, status: int
) -> tuple[dict[str, Any], int, dict[str, str]]:
    document = shown_job(job, outlook)
    return document, status, {"Location": document["links"]["self"], **_poll_headers(job)}


def _poll_headers(job: JobRow) -> dict[str, str]:
    return {"Retry-After": str(POLL_S[job.state])} if job.state in POLL_S else {}


def shown_job(job: JobRow, outlook: Outlook) -> dict[str, Any]:
    """Return a job with what lies before it."""
    rounded = None if outlook.eta_s is None else round(outlook.eta_s, 1)
    return listed_job(job) | {"queue_position": outlook.place, "eta_s": rounded}


def listed_job(job: JobRow) -> dict[str, Any]:
    """Return a job as it stands in a list."""
    return {
        "id": job.id,
        "study_id": job.study_id,
        "study_uid": job.study.study_uid,
        "pipeline": job.pipeline,
        "network": job.network,
        "priority": job.priority,
        "state": job.state,
        "stage": job.stage,
        "slices": _slices(job),
        "fraction": job.fraction,
        "attempts": job.attempts,
        "cancel_requested": job.cancel_requested,
        "error": job.error_code and {"code": job.error_code, "message": job.error_message},
        "timings_s": job.timings_s,
        "expected_s": job.expected_s,
        "created_at": job.created_at,
        "queued_at": job.queued_at,
        # Of one that went back to the queue it is when it was begun before.
        "started_at": None if job.state is State.QUEUED else job.started_at,
        "finished_at": job.finished_at,
        "links": _links(job),
    }


def _slices(job: JobRow) -> dict[str, int]:
    if job.stage == Stage.SLICES and not job.is_final:
        return {"done": job.stage_done, "total": job.stage_total}
    return {"done": job.slice_count if _is_past_slices(job) else 0, "total": job.slice_count}


def _is_past_slices(job: JobRow) -> bool:
    stages = list(Stage)
    past = stages[stages.index(Stage.SLICES) + 1 :]
    return job.state is State.SUCCEEDED or job.stage in past


def _links(job: JobRow) -> dict[str, str | None]:
    self = url_for("jobs.show", job_id=job.id)
    is_done = job.state is State.SUCCEEDED
    return {
        "self": self,
        "study": url_for("studies.show", study_id=job.study_id),
        "events": f"{self}/events",
        "stream": url_for("streams.job", job_id=job.id),
        "report": url_for("reports.show", job_id=job.id) if is_done else None,
        "deliveries": f"{self}/deliveries" if is_done else None,
        "cancel": None if job.is_final else self,
        "retry": f"{self}/retry" if job.state in RETRIABLE else None,
        "prioritise": self if job.state is State.QUEUED else None,
        "rerun": f"{self}/rerun",
        "regrade": url_for("reports.regrade", job_id=job.id) if is_done else None,
        "page": url_for("dashboard.case.show", job_id=job.id),
    }
