# SPDX-License-Identifier: Apache-2.0
"""What may be done with jobs that are there, one by one or many at once."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from sqlalchemy.orm import Session

from api.auth import by_key, caller, tenant_id
from api.intake import submit
from api.jobs import answer_job
from api.orders import Order
from api.parts import parts
from api.schemas.actions import Action, BulkJSON, DoneJSON, PriorityJSON, RerunJSON
from api.schemas.jobs import JobHeaders, JobJSON
from db.admission import check_queue
from db.changes import cancel_job, prioritise_job, retry_job
from db.jobs import JobFilter, count_jobs_after, job_for, list_jobs
from db.pages import Page
from db.regrades import regrade_report
from db.thresholds import thresholds_named
from hilum.errors import HilumError
from hilum.jobs import Priority

actions = APIBlueprint("actions", __name__, url_prefix="/v1/jobs", tag="Jobs")

BODY_PROBLEMS: Final = {400: "The body is no JSON.", 413: "The body is too large."}
QUOTA: Final = "The hospital has as much as it may have."

OLDEST_FIRST: Final = "created_at"
"""What is tried again keeps its order."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done with a job.

    Attributes:
        made: the job that runs its study again; None of what is done with the job itself.
        is_due: whether a worker is wanted.
    """

    made: UUID | None = None
    is_due: bool = False


Wishes = Mapping[str, Any]
"""The fields of a request that belong to its action."""

Act = Callable[[Session, UUID, Wishes], Deed]
"""Does something with one job, in a transaction of its own."""


@dataclass(slots=True)
class Tally:
    """What became of many jobs.

    Attributes:
        deeds: by the jobs they were done with, in order.
        refused: of the others, why.
        left: jobs that were not reached.
        next_cursor: where they begin.
    """

    deeds: dict[UUID, Deed] = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
    left: int = 0
    next_cursor: str | None = None

    @property
    def due(self) -> int:
        """How many workers are wanted."""
        return sum(deed.is_due for deed in self.deeds.values())

    def to_json(self) -> dict[str, Any]:
        """Return it as it is answered."""
        return {
            "done": list(self.deeds),
            "made": [deed.made for deed in self.deeds.values() if deed.made is not None],
            "refused": self.refused,
            "left": self.left,
            "next_cursor": self.next_cursor,
        }


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
    with parts().sessions.begin() as session:
        deed = ACTS[action](session, job_id, wishes)
    if deed.is_due:
        parts().bell.ring()
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
    _act_on_each(asked["job_ids"], asked, tally)
    return tally


def _of_found(asked: Wishes) -> Tally:
    chosen, cursor, limit = JobFilter(**asked["filter"]), asked.get("cursor"), asked["limit"]
    tally = Tally(next_cursor=cursor)
    if limit:
        page = Page(cursor, limit, OLDEST_FIRST)
        with parts().sessions.begin() as session:
            found = list_jobs(session, tenant_id(), chosen, page)
        _act_on_each((job.id for job in found.rows), asked, tally)
        if found.next_cursor is None:
            tally.next_cursor = None
            return tally
        tally.next_cursor = found.next_cursor
    rest = Page(tally.next_cursor, sort=OLDEST_FIRST)
    with parts().sessions.begin() as session:
        tally.left = count_jobs_after(session, tenant_id(), chosen, rest)
    return tally


def _act_on_each(job_ids: Iterable[UUID], asked: Wishes, tally: Tally) -> None:
    act = ACTS[asked["action"]]
    for job_id in dict.fromkeys(job_ids):
        try:
            with parts().sessions.begin() as session:
                tally.deeds[job_id] = act(session, job_id, asked)
        except HilumError as error:
            refusal = {"id": job_id, "code": error.code, "message": error.message}
            tally.refused.append(refusal)


# ── What is done ──────────────────────────────────────────────────────────────────────────────


def _cancel(session: Session, job_id: UUID, _wishes: Wishes) -> Deed:
    cancel_job(session, tenant_id(), job_id, by=caller())
    return Deed()


def _retry(session: Session, job_id: UUID, _wishes: Wishes) -> Deed:
    job = retry_job(session, tenant_id(), job_id, by=caller())
    # Afterwards: it is one of those that wait by then, and the youngest. A refusal undoes it all.
    check_queue(session, job.priority, max_age_s=parts().settings.max_queue_age_s)
    return Deed(is_due=True)


def _prioritise(session: Session, job_id: UUID, wishes: Wishes) -> Deed:
    prioritise_job(session, tenant_id(), job_id, wishes["priority"], by=caller())
    # A worker that is kept for urgent jobs has not heard of it.
    return Deed(is_due=wishes["priority"] is Priority.STAT)


def _rerun(session: Session, job_id: UUID, wishes: Wishes) -> Deed:
    job = job_for(session, tenant_id(), job_id)
    named = {"network": wishes["network"]} if "network" in wishes else {}
    fields = {"pipeline": job.pipeline, "priority": wishes.get("priority", job.priority)} | named
    order = Order.of(tenant_id(), fields, idempotency_key=None, settings=parts().settings)
    made, outlook = submit(session, order, job.study_id, job.slice_count)
    return Deed(made.id, is_due=outlook is not None)


def _regrade(session: Session, job_id: UUID, wishes: Wishes) -> Deed:
    thresholds = thresholds_named(session, wishes.get("thresholds"))
    regrade_report(session, tenant_id(), job_id, thresholds, by=caller())
    return Deed()


ACTS: Final[Mapping[Action, Act]] = {
    Action.CANCEL: _cancel,
    Action.RETRY: _retry,
    Action.PRIORITISE: _prioritise,
    Action.RERUN: _rerun,
    Action.REGRADE: _regrade,
}
