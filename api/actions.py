# SPDX-License-Identifier: Apache-2.0
"""What may be done with jobs that are there, one by one or many at once."""

from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint

from api.auth import access, by_key, tenant_id
from api.deeds import Tally, Wishes, act, act_on_each
from api.jobs import answer_job
from api.parts import parts
from api.schemas.actions import Action, BulkJSON, DoneJSON, PriorityJSON, RerunJSON
from api.schemas.jobs import JobHeaders, JobJSON
from db.jobs import JobFilter, count_jobs_after, job_for, list_jobs
from db.pages import Page
from db.thresholds import thresholds_named

actions = APIBlueprint("actions", __name__, url_prefix="/v1/jobs", tag="Jobs")

BODY_PROBLEMS: Final = {400: "The body is no JSON.", 413: "The body is too large."}
QUOTA: Final = "The hospital has as much as it may have."

OLDEST_FIRST: Final = "created_at"
"""What is tried again keeps its order."""


# ── Of one job ────────────────────────────────────────────────────────────────────────────────


@actions.post("/<uuid:job_id>/retry")
@actions.auth_required(by_key)
@actions.output(JobJSON, status_code=202, headers=JobHeaders)
@actions.doc(
    responses={
        409: "The job has not ended, has succeeded, or another one does the same.",
        429: QUOTA,
    }
)
def retry(job_id: UUID) -> tuple[Any, int, dict[str, str]]:
    """Try a job again that ended without a report.

    It is the same job, as if it were new: at the end of the queue, with all its attempts.
    """
    return _act_on_one(Action.RETRY, job_id, {}, 202)


@actions.patch("/<uuid:job_id>")
@actions.auth_required(by_key)
@actions.input(PriorityJSON, location="json", arg_name="wishes")
@actions.output(JobJSON, headers=JobHeaders)
@actions.doc(responses=BODY_PROBLEMS | {409: "The job no longer waits."})
def prioritise(job_id: UUID, wishes: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
    """Make a job that waits more or less urgent."""
    return _act_on_one(Action.PRIORITISE, job_id, wishes, 200)


@actions.post("/<uuid:job_id>/rerun")
@actions.auth_required(by_key)
@actions.input(RerunJSON, location="json", arg_name="wishes")
@actions.output(JobJSON, status_code=202, headers=JobHeaders)
@actions.doc(responses=BODY_PROBLEMS | {429: QUOTA})
def rerun(job_id: UUID, wishes: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
    """Run the study of a job again, by another network.

    The answer is a new job, or the one there is of the same study, pipeline and network.
    """
    return _act_on_one(Action.RERUN, job_id, wishes, 202)


def _act_on_one(
    action: Action, job_id: UUID, wishes: Wishes, status: int
) -> tuple[Any, int, dict[str, str]]:
    deed = act(action, access(), job_id, wishes)
    with parts().sessions.begin() as session:
        job = job_for(session, tenant_id(), deed.made or job_id)
    return answer_job(job, status)


# ── Of many ───────────────────────────────────────────────────────────────────────────────────


@actions.post("/actions")
@actions.auth_required(by_key)
@actions.input(BulkJSON, location="json", arg_name="asked")
@actions.output(DoneJSON)
@actions.doc(responses=BODY_PROBLEMS)
def act_on_many(asked: dict[str, Any]) -> dict[str, Any]:
    """Do something with many jobs: those that are named, or those that a filter finds.

    Each is done by itself, so that one that is refused hurts no other.
    """
    if asked["action"] is Action.REGRADE:
        # Said once, not of each job.
        with parts().sessions.begin() as session:
            thresholds_named(session, asked.get("thresholds"))
    tally = _of_these(asked) if "job_ids" in asked else _of_found(asked)
    if tally.due:
        parts().bell.ring(tally.due)
    return tally.to_json()


def _of_these(asked: Wishes) -> Tally:
    tally = Tally()
    act_on_each(asked["action"], access(), asked["job_ids"], asked, tally)
    return tally


def _of_found(asked: Wishes) -> Tally:
    chosen, cursor, limit = JobFilter(**asked["filter"]), asked.get("cursor"), asked["limit"]
    tally = Tally(next_cursor=cursor)
    if limit:
        page = Page(cursor, limit, OLDEST_FIRST)
        with parts().sessions.begin() as session:
            found = list_jobs(session, tenant_id(), chosen, page)
        job_ids = (job.id for job in found.rows)
        act_on_each(asked["action"], access(), job_ids, asked, tally)
        if found.next_cursor is None:
            tally.next_cursor = None
            return tally
        tally.next_cursor = found.next_cursor
    rest = Page(tally.next_cursor, sort=OLDEST_FIRST)
    with parts().sessions.begin() as session:
        tally.left = count_jobs_after(session, tenant_id(), chosen, rest)
    return tally
