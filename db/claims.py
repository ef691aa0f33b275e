# SPDX-License-Identifier: Apache-2.0
"""A worker's hold on a job: taken, kept by reporting, let go; lost with its lease.

Whoever holds a job knows its claim token. Every write here is guarded by it, so a worker that was
thought dead and comes back can change nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, case, exists, func, select, update
from sqlalchemy.orm import Session, aliased

from db.attempts import CRASH, LAST, Crash, last_signs
from db.clock import from_now
from db.deliveries import queue_deliveries
from db.reports import save_report
from db.steps import START_OVER, take_step
from db.studies import add_results
from db.tables import ArtifactRow, JobEventRow, JobRow
from db.writings import begin_writing, end_writing
from hilum.dicom.attributes import Attributes
from hilum.errors import NetworkAbsent
from hilum.findings import Report
from hilum.jobs import JobStopped, Priority, Stage, State, overall_fraction
from hilum.places import job_folder
from hilum.storage import StoredFile

EXHAUSTED = "attempts_exhausted"
"""Error code of a job that failed as often as it may; its study is kept, and it can be retried."""

WORKER_LOST = "worker_lost"
"""Error code of a job in quarantine."""

FREE_RETURNS: Final = 20
"""Times that a job may be handed back before each counts; no roll-out takes so many."""

HANDED_BACK: Final = "handed_back"
"""In the detail of such an event."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a worker knows of the job it holds.

    Attributes:
        job_id: the job.
        token: proves the hold.
        tenant_id, study_id: whose study to read.
        pipeline, network: what to run.
        attempt: from 1.
        request_id: of the request that asked for it.
        priority: how urgent it is.
        waited_s: since it could have been taken.
    """

    job_id: UUID
    token: UUID
    tenant_id: UUID
    study_id: UUID
    pipeline: str
    network: str
    attempt: int
    request_id: str | None
    priority: Priority
    waited_s: float

    @property
    def prefix(self) -> str:
        """Of the keys of the files that this attempt writes."""
        return f"{job_folder(self.tenant_id, self.job_id)}/{self.token}"

    @property
    def holds(self) -> ColumnElement[bool]:
        """Whether a row is still held by this claim."""
        return (JobRow.id == self.job_id) & (JobRow.claim == self.token)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a job wrote.

    Attributes:
        kind: its name in the API.
        media_type: for whoever downloads it.
        file: where it is kept.
        attributes: what it is searched by; None of what is no DICOM object.
    """

    kind: str
    media_type: str
    file: StoredFile
    attributes: Attributes | None = None


def claim_job(
    session: Session, job_id: UUID, *, worker: str, lease_s: int, max_attempts: int
) -> Claim | None:
    """Take a waiting job; None when it is not to be taken: it is taken, or its attempts are spent."""
    token = uuid4()
    taken = take_step(
        session,
        State.QUEUED,
        State.RUNNING,
        JobRow.id == job_id,
        JobRow.attempts < max_attempts,
        detail={"worker": worker},
        claim=token,
        worker=worker,
        attempts=JobRow.attempts + 1,
        lease_until=from_now(lease_s),
        started_at=func.now(),
    )
    if not taken:
        _give_up(session, State.QUEUED, JobRow.id == job_id, JobRow.attempts >= max_attempts)
        return None
    job = taken[0]
    claim = Claim(
        job.id,
        token,
        job.tenant_id,
        job.study_id,
        job.pipeline,
        job.network,
        job.attempts,
        job.request_id,
        job.priority,
        _waited_s(job),
    )
    begin_writing(session, claim.prefix, claim=token)
    return claim


def _waited_s(job: JobRow) -> float:
    due_at = max(job.queued_at, job.retry_at or job.queued_at)
    return max(0.0, ((job.started_at or due_at) - due_at).total_seconds())


def keep_hold(session: Session, claim: Claim, *, lease_s: int) -> None:
    """Keep hold of a job for another lease, where it is still this claim's."""
    session.execute(
        update(JobRow)
        .where(JobRow.state == State.RUNNING, claim.holds)
        .values(lease_until=from_now(lease_s))
    )


def report_progress(
    session: Session, claim: Claim, stage: Stage, done: int, total: int, *, lease_s: int
) -> None:
    """Say how far a job is, and keep hold of it for another lease.

    Raises:
        JobStopped: another worker holds the job now, or somebody asked it to stop.
    """
    stops = session.scalar(
        update(JobRow)
        .where(JobRow.state == State.RUNNING, claim.holds)
        .values(
            stage=stage,
            stage_done=done,
            stage_total=total,
            fraction=overall_fraction(stage, done, total),
            lease_until=from_now(lease_s),
        )
        .returning(JobRow.cancel_requested)
        .execution_options(synchronize_session=False)
    )
    if stops is None:
        raise JobStopped(f"Job {claim.job_id} is no longer held by attempt {claim.attempt}.")
    if stops:
        raise JobStopped(f"Job {claim.job_id} was asked to stop.")


def finish_job(
    session: Session, claim: Claim, report: Report, artifacts: Sequence[Artifact]
) -> None:
    """Keep the outcome of a job and end it, all or nothing.

    Raises:
        JobStopped: another worker holds the job now.
    """
    ended = take_step(
        session,
        State.RUNNING,
        State.SUCCEEDED,
        claim.holds,
        report=report,
        fraction=1.0,
        timings_s=dict(report.timings_s),
    )
    if not ended:
        raise JobStopped(f"Job {claim.job_id} is no longer held by attempt {claim.attempt}.")
    save_report(session, ended[0], report)
    session.add_all(
        ArtifactRow(
            job_id=claim.job_id,
            kind=artifact.kind,
            media_type=artifact.media_type,
            key=artifact.file.key,
            sha256=artifact.file.sha256,
            size_bytes=artifact.file.size,
        )
        for artifact in artifacts
    )
    end_writing(session, claim.prefix)
    queue_deliveries(session, ended[0])
    objects = ((one.attributes, one.file) for one in artifacts if one.attributes is not None)
    add_results(session, ended[0], objects)


def fail_job(
    session: Session, claim: Claim, code: str, message: str, *, crash: Crash | None = None
) -> bool:
    """End a job that cannot succeed; False when it is no longer this claim's to end.

    Args:
        session: one transaction.
        claim: the hold to let go.
        code: of the error.
        message: one sentence without patient data.
        crash: where it arose.
    """
    return bool(_fail(session, State.RUNNING, code, message, claim.holds, crash=crash))


def cancel_running(session: Session, claim: Claim) -> bool:
    """End a job that was asked to stop; False when it is no longer this claim's to end."""
    return bool(_cancel_if_asked(session, claim.holds))


def give_back(
    session: Session,
    claim: Claim,
    reason: str,
    *,
    max_attempts: int,
    wait_s: float = 0.0,
    crash: Crash | None = None,
) -> bool:
    """Put a job back into the queue for another attempt, or fail it where it had all of them.

    The answer is False when it is no longer this claim's to give.

    Args:
        session: one transaction.
        claim: the hold to let go.
        reason: one sentence without patient data.
        max_attempts: the last of them fails the job.
        wait_s: nobody takes the job before then.
        crash: where the trouble arose.
    """
    spent = claim.holds & (JobRow.attempts >= max_attempts)
    cancelled = _cancel_if_asked(session, claim.holds)
    failed = _give_up(session, State.RUNNING, spent, reason=reason, crash=crash)
    queued = _queue_again(session, reason, claim.holds, wait_s=wait_s, more=_told(crash))
    return bool(cancelled + failed + queued)


def hand_back(session: Session, claim: Claim, reason: str) -> bool:
    """Put a job back whose worker must end, for no fault of the job's: the attempt does not count.

    It does once the job was handed back very often: then something in it ends its workers.

    The answer is False when it is no longer this claim's to give.
    """
    returns = (
        select(func.count())
        .where(JobEventRow.job_id == claim.job_id, JobEventRow.detail.has_key(HANDED_BACK))
        .scalar_subquery()
    )
    cancelled = _cancel_if_asked(session, claim.holds)
    queued = _queue_again(
        session,
        reason,
        claim.holds,
        more={HANDED_BACK: True},
        attempts=case((returns < FREE_RETURNS, JobRow.attempts - 1), else_=JobRow.attempts),
    )
    return bool(cancelled + queued)


def wait_for_network(
    session: Session, claim: Claim, reason: str, *, limit_s: float, wait_s: float
) -> bool:
    """Put a job back for a worker that has its network; the attempt does not count.

    The job fails once workers have lacked the network for `limit_s` and none has run it meanwhile:
    the one that has it may be busy, and a long queue is no reason to fail.

    The answer is False when it is no longer this claim's to give.

    Args:
        session: one transaction.
        claim: the hold to let go.
        reason: one sentence without patient data.
        limit_s: how long nobody may have the network.
        wait_s: nobody takes the job before then.
    """
    overdue = JobRow.absent_since < from_now(-limit_s)
    message = f"No worker has had network {claim.network} for {limit_s / 60:.0f} minutes. {reason}"
    cancelled = _cancel_if_asked(session, claim.holds)
    failed = _fail(
        session,
        State.RUNNING,
        NetworkAbsent.code,
        message,
        claim.holds,
        overdue,
        ~_runs_somewhere(claim, within_s=limit_s),
    )
    queued = _queue_again(
        session,
        reason,
        claim.holds,
        wait_s=wait_s,
        attempts=JobRow.attempts - 1,
        absent_since=func.coalesce(JobRow.absent_since, func.now()),
    )
    return bool(cancelled + failed + queued)


def take_back_overdue(session: Session, *, max_attempts: int) -> list[JobRow]:
    """Take jobs from workers unheard of for a lease; return them: most wait again, some ended.

    A job whose last attempt ends like this goes into quarantine: whatever kills workers, a segfault
    or the system for want of memory, may kill the next one too.
    """
    overdue = JobRow.lease_until < func.now()
    last = last_signs(session, overdue)
    cancelled = _cancel_if_asked(session, overdue)
    quarantined = take_step(
        session,
        State.RUNNING,
        State.QUARANTINED,
        overdue,
        JobRow.attempts >= max_attempts,
        detail=lambda job: {"code": WORKER_LOST, LAST: last.get(job.id)},
        error_code=WORKER_LOST,
        error_message="Its last worker was lost, as the kernel kills one for want of memory or a fault does.",
    )
    queued = take_step(
        session,
        State.RUNNING,
        State.QUEUED,
        overdue,
        detail=lambda job: {"reason": "The worker was lost.", LAST: last.get(job.id)},
        **START_OVER | {"retry_at": from_now(0.0)},
    )
    return cancelled + quarantined + queued


def _queue_again(
    session: Session,
    reason: str,
    condition: ColumnElement[bool],
    *,
    wait_s: float = 0.0,
    more: Mapping[str, Any] = MappingProxyType({}),
    **values: Any,
) -> list[JobRow]:
    return take_step(
        session,
        State.RUNNING,
        State.QUEUED,
        condition,
        detail={"reason": reason, **more},
        # It waits from now on, not since before it ran.
        **START_OVER | {"retry_at": from_now(wait_s)} | values,
    )


def _cancel_if_asked(session: Session, *conditions: ColumnElement[bool]) -> list[JobRow]:
    asked = JobRow.cancel_requested.is_(True)
    return take_step(session, State.RUNNING, State.CANCELLED, *conditions, asked)


def _runs_somewhere(claim: Claim, *, within_s: float) -> ColumnElement[bool]:
    """Whether any worker ran a claim's network lately, or is running it now."""
    other = aliased(JobRow)
    same = (other.pipeline == claim.pipeline) & (other.network == claim.network)
    ended = (other.state == State.SUCCEEDED) & (other.finished_at > from_now(-within_s))
    # A worker reports its first stage once it has the network.
    running = (other.state == State.RUNNING) & other.stage.is_not(None)
    return exists().where(same, ended) | exists().where(same, running)


def _give_up(
    session: Session,
    before: State,
    *conditions: ColumnElement[bool],
    reason: str = "",
    crash: Crash | None = None,
) -> list[JobRow]:
    message = f"The job was tried as often as it may be. {reason}".strip()
    return _fail(session, before, EXHAUSTED, message, *conditions, crash=crash)


def _fail(
    session: Session,
    before: State,
    code: str,
    message: str,
    *conditions: ColumnElement[bool],
    crash: Crash | None = None,
) -> list[JobRow]:
    why: dict[str, Any] = {"error_code": code, "error_message": message}
    detail = {"code": code} | _told(crash)
    return take_step(session, before, State.FAILED, *conditions, detail=detail, **why)


def _told(crash: Crash | None) -> dict[str, Any]:
    return {} if crash is None else {CRASH: dict(crash)}
