# SPDX-License-Identifier: Apache-2.0
"""The page of queue and workers: what waits, who serves it, what went wrong, and what may be done."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import redirect, render_template, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api.auth import Access
from api.dashboard.standing import SIGNS, Standing
from api.deeds import ACTS
from api.parts import parts
from api.person import entry_of, needs, note, person
from api.schemas.actions import Action as Deed
from db.attempts import attempts
from db.audit import append
from db.drains import drain_worker, release_worker
from db.jobs import job_in
from db.pages import Page
from db.pauses import LONGEST_REASON, pause_queue, resume_queue
from db.scope import Scope
from db.tenants import list_tenants
from db.troubles import NEWEST_FIRST, TROUBLED, list_troubled
from db.turns import count_due
from hilum.audit import Action
from hilum.catalogue import PIPELINES
from hilum.errors import HilumError, InvalidRequest, NotPermitted
from hilum.jobs import MOST_RINGS, State
from hilum.people import Permission

queue = APIBlueprint("queue", __name__, url_prefix="/queue", enable_openapi=False)

EVERYBODY: Final = "everybody"
"""In place of a hospital's id, in a form."""

AT_ONCE: Final = 25
"""Jobs that went wrong on a page: each is shown with all its attempts."""

CODE: Final = re.compile(r"[a-z_]{1,40}")
"""What the code of an error looks like."""


# ── Showing ───────────────────────────────────────────────────────────────────────────────────


@queue.get("")
@needs(Permission.OPERATE)
def index() -> str:
    """Show the queue, the workers, and what went wrong."""
    scope, state = _scope(), _state(request.args.get("state", ""))
    page = Page(cursor=request.args.get("after") or None, limit=AT_ONCE, sort=NEWEST_FIRST)
    with parts().sessions.begin() as session:
        troubled = list_troubled(session, scope, page, state)
        shown = {
            "standing": Standing.of(session, scope),
            "troubled": troubled,
            "tried": attempts(session, [job.id for job in troubled.rows]),
            "tenants": {one.id: one.name for one in list_tenants(session) if one.id in scope},
        }
    return render_template(
        "dashboard/queue.html",
        state=state,
        states=TROUBLED,
        retried=request.args.get("retried", type=int),
        refused=[code for code in request.args.getlist("refused") if CODE.fullmatch(code)],
        longest_reason=LONGEST_REASON,
        limit_s=_limit_s,
        everybody=EVERYBODY,
        **_rights(scope),
        **shown,
    )


@queue.get("/live")
@needs(Permission.OPERATE)
def live() -> str:
    """Show anew what changes by itself."""
    scope = _scope()
    with parts().sessions.begin() as session:
        standing = Standing.of(session, scope)
        tenants = {one.id: one.name for one in list_tenants(session) if one.id in scope}
    return render_template(
        "dashboard/queue_live.html",
        standing=standing,
        tenants=tenants,
        everybody=EVERYBODY,
        **_rights(scope),
    )


def _limit_s(pipeline: str) -> int:
    """Return how long a job may run, as `worker.deadline` has it; that is not for web servers."""
    card, ours_s = PIPELINES.get(pipeline), parts().settings.task_time_limit_s
    return ours_s if card is None else min(card.time_limit_s, ours_s)


def _rights(scope: Scope) -> dict[str, object]:
    return {"signs": SIGNS, "may_all": scope.is_everything}


# ── Pausing and draining ──────────────────────────────────────────────────────────────────────


@queue.post("/pause")
@needs(Permission.OPERATE)
def pause() -> Response:
    """Let nobody take a job of a hospital, or of any."""
    whose, reason = _whose(), request.form.get("reason", "")
    with parts().sessions.begin() as session:
        # Twice is once: a form may be sent again.
        if pause_queue(session, whose, by=person().by, reason=reason):
            note(session, Action.QUEUE_PAUSED, tenant_id=whose, detail={"reason": reason.strip()})
    return _back()


@queue.post("/resume")
@needs(Permission.OPERATE)
def resume() -> Response:
    """Let jobs be taken again, and call workers for them."""
    whose = _whose()
    with parts().sessions.begin() as session:
        if resume_queue(session, whose):
            note(session, Action.QUEUE_RESUMED, tenant_id=whose)
    _call_workers()
    return _back()


@queue.post("/workers/drain")
@needs(Permission.OPERATE)
def drain() -> Response:
    """Have a worker finish its job and take no more."""
    _check_everybody()
    name = request.form.get("worker", "")
    with parts().sessions.begin() as session:
        if drain_worker(session, name, by=person().by):
            note(session, Action.WORKER_DRAINED, subject=name)
    return _back()


@queue.post("/workers/release")
@needs(Permission.OPERATE)
def release() -> Response:
    """Let a worker take jobs again."""
    _check_everybody()
    name = request.form.get("worker", "")
    with parts().sessions.begin() as session:
        if release_worker(session, name):
            note(session, Action.WORKER_RELEASED, subject=name)
    _call_workers()
    return _back()


def _whose() -> UUID | None:
    """Return the hospital that a form names, None for everybody; whoever asks may operate it."""
    asked = request.form.get("tenant", "")
    if asked == EVERYBODY:
        _check_everybody()
        return None
    tenant_id = _uuid(asked)
    person().check(Permission.OPERATE, tenant_id)
    return tenant_id


def _check_everybody() -> None:
    if not _scope().is_everything:
        raise NotPermitted(
            "The whole queue and its workers are for whoever operates every hospital. Whoever"
            " administers Hilum can pause the one or drain the other."
        )


def _call_workers() -> None:
    with parts().sessions.begin() as session:
        due = count_due(session, most=MOST_RINGS)
    parts().bell.ring(due)


# ── Trying again ──────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Retried:
    """What became of jobs that were to be tried again.

    Attributes:
        done: that wait now.
        refused: codes of the errors of the others.
    """

    done: list[UUID] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@queue.post("/retry")
@needs(Permission.OPERATE)
def retry() -> Response:
    """Try jobs again that went wrong: one, or all that were chosen."""
    chosen = sorted({_uuid(one) for one in request.form.getlist("job")[:AT_ONCE]})
    with parts().sessions.begin() as session:
        retried = _retry_each(session, chosen)
    parts().bell.ring(len(retried.done))
    where = url_for(".index", retried=len(retried.done), refused=retried.refused)
    return redirect(f"{where}#troubles", HTTPStatus.SEE_OTHER)


def _retry_each(session: Session, job_ids: Sequence[UUID]) -> Retried:
    retried, entries = Retried(), []
    for job_id in job_ids:
        try:
            # One that is refused hurts no other.
            with session.begin_nested():
                tenant_id = _retry(session, job_id)
        except HilumError as error:
            retried.refused.append(error.code)
            continue
        retried.done.append(job_id)
        entries.append(entry_of(person().by, Action.JOB_RETRIED, tenant_id, job_id))
    append(session, *entries)
    return retried


def _retry(session: Session, job_id: UUID) -> UUID:
    tenant_id = job_in(session, _scope(), job_id).tenant_id
    ACTS[Deed.RETRY](session, Access(tenant_id, person().by), job_id, {})
    return tenant_id


# ── What was asked ────────────────────────────────────────────────────────────────────────────


def _scope() -> Scope:
    return person().scope(Permission.OPERATE)


def _state(asked: str) -> State | None:
    found = [state for state in TROUBLED if state == asked]
    if asked and not found:
        raise InvalidRequest(f"{asked[:20]!r} was asked for, expected {', '.join(TROUBLED)}.")
    return found[0] if found else None


def _uuid(asked: str) -> UUID:
    try:
        return UUID(asked)
    except ValueError as error:
        raise InvalidRequest(f"{asked[:40]!r} is no id that this page has.") from error


def _back() -> Response:
    return redirect(url_for(".index"), HTTPStatus.SEE_OTHER)
