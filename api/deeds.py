# SPDX-License-Identifier: Apache-2.0
"""What is done with jobs that are there, whoever asked for it: a program or a person at a page."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from api.auth import Access
from api.intake import submit
from api.orders import Order
from api.parts import parts
from api.schemas.actions import Action
from db.admission import check_queue
from db.changes import cancel_job, prioritise_job, retry_job
from db.jobs import job_for
from db.regrades import regrade_report
from db.thresholds import thresholds_named
from hilum.errors import HilumError
from hilum.jobs import Priority


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

Act = Callable[[Session, Access, UUID, Wishes], Deed]
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


def act(action: Action, who: Access, job_id: UUID, wishes: Wishes) -> Deed:
    """Do something with one job, and call a worker where one is wanted.

    Raises:
        HilumError: it cannot be done, in the words of its function in `db/`.
    """
    with parts().sessions.begin() as session:
        deed = ACTS[action](session, who, job_id, wishes)
    if deed.is_due:
        parts().bell.ring()
    return deed


def act_on_each(
    action: Action, who: Access, job_ids: Iterable[UUID], wishes: Wishes, tally: Tally
) -> None:
    """Do something with many jobs of a hospital, each by itself: one that is refused hurts no other."""
    for job_id in dict.fromkeys(job_ids):
        try:
            with parts().sessions.begin() as session:
                tally.deeds[job_id] = ACTS[action](session, who, job_id, wishes)
        except HilumError as error:
            refusal = {"id": job_id, "code": error.code, "message": error.message}
            tally.refused.append(refusal)


def _cancel(session: Session, who: Access, job_id: UUID, _wishes: Wishes) -> Deed:
    cancel_job(session, who.tenant_id, job_id, by=who.by)
    return Deed()


def _retry(session: Session, who: Access, job_id: UUID, _wishes: Wishes) -> Deed:
    job = retry_job(session, who.tenant_id, job_id, by=who.by)
    # Afterwards: it is one of those that wait by then, and the youngest. A refusal undoes it all.
    check_queue(session, job.priority, max_age_s=parts().settings.max_queue_age_s)
    return Deed(is_due=True)


def _prioritise(session: Session, who: Access, job_id: UUID, wishes: Wishes) -> Deed:
    prioritise_job(session, who.tenant_id, job_id, wishes["priority"], by=who.by)
    # A worker that is kept for urgent jobs has not heard of it.
    return Deed(is_due=wishes["priority"] is Priority.STAT)


def _rerun(session: Session, who: Access, job_id: UUID, wishes: Wishes) -> Deed:
    job = job_for(session, who.tenant_id, job_id)
    named = {"network": wishes["network"]} if "network" in wishes else {}
    fields = {"pipeline": job.pipeline, "priority": wishes.get("priority", job.priority)} | named
    order = Order.of(who.tenant_id, fields, idempotency_key=None, settings=parts().settings)
    made, outlook = submit(session, order, job.study_id, job.slice_count)
    return Deed(made.id, is_due=outlook is not None)


def _regrade(session: Session, who: Access, job_id: UUID, wishes: Wishes) -> Deed:
    thresholds = thresholds_named(session, wishes.get("thresholds"))
    regrade_report(session, who.tenant_id, job_id, thresholds, by=who.by)
    return Deed()


ACTS: Final[Mapping[Action, Act]] = {
    Action.CANCEL: _cancel,
    Action.RETRY: _retry,
    Action.PRIORITISE: _prioritise,
    Action.RERUN: _rerun,
    Action.REGRADE: _regrade,
}
