# SPDX-License-Identifier: Apache-2.0
"""What a person does with a job: if they may, and in one transaction with its entry in the audit log."""

from collections.abc import Mapping
from typing import Any, Final

from flask import request
from sqlalchemy.orm import Session

from api.auth import Access
from api.deeds import ACTS
from api.deeds import Deed as Done
from api.person import note, person
from api.schemas.actions import Action as Deed
from db.tables import JobRow
from hilum.audit import Action
from hilum.errors import InvalidRequest
from hilum.jobs import Priority
from hilum.people import Permission

NOTED: Final[Mapping[Deed, Action]] = {
    Deed.CANCEL: Action.JOB_CANCELLED,
    Deed.RETRY: Action.JOB_RETRIED,
    Deed.PRIORITISE: Action.JOB_PRIORITISED,
    Deed.RERUN: Action.JOB_RERUN,
}
"""What a person may do with a job, and what the audit log calls it."""


def do_as_person(session: Session, wanted: Deed, job: JobRow, wishes: Mapping[str, Any]) -> Done:
    """Do something with a job for the one who is signed in.

    Raises:
        NotPermitted: they do not operate its hospital.
        HilumError: it cannot be done, in the words of its function in `db/`.
    """
    person().check(Permission.OPERATE, job.tenant_id)
    done = ACTS[wanted](session, Access(job.tenant_id, person().by), job.id, wishes)
    note(session, NOTED[wanted], tenant_id=job.tenant_id, subject=job.id)
    return done


def wishes_for(wanted: Deed) -> dict[str, Any]:
    """Return what a form asks for beside what is to be done.

    Raises:
        InvalidRequest: it names no urgency.
    """
    if wanted is Deed.RERUN:
        return {"network": request.form.get("network", "")}
    if wanted is not Deed.PRIORITISE:
        return {}
    asked = request.form.get("priority", "")
    if asked not in set(Priority):
        raise InvalidRequest(f"{asked[:20]!r} is no priority, expected {', '.join(Priority)}.")
    return {"priority": Priority(asked)}
