"""What must be true of every job, whatever was done to the system; each breach is one sentence."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import ArtifactRow, InstanceRow, JobEventRow, JobRow, ReportRow, StudyRow, WritingRow
from hilum.jobs import FINAL_STATES, State, may_move
from hilum.storage import StudyStore
from tests.chaos.hospital import Hospital
from tests.chaos.studies import is_poison


def breaches(session: Session, store: StudyStore, hospitals: Iterable[Hospital]) -> list[str]:
    """Return what is wrong; nothing is, where every promise was kept."""
    return [
        *_promises(session, hospitals),
        *_states(session),
        *_reports(session),
        *_histories(session),
        *_files(session, store),
    ]


def _promises(session: Session, hospitals: Iterable[Hospital]) -> Iterator[str]:
    kept = {
        str(job_id): key
        for job_id, key in session.execute(select(JobRow.id, JobRow.idempotency_key))
    }
    promised = {job: key for one in hospitals for key, job in one.promised.items()}
    yield from (f"Job {job} was promised and is lost." for job in promised.keys() - kept.keys())
    # A request that was never answered may have made its job; a key has one at most by the index.
    yield from (
        f"Job {job} was made of request {kept[job]}, which was answered with another."
        for job in kept.keys() - promised.keys()
        if kept[job] in set(promised.values())
    )


def _states(session: Session) -> Iterator[str]:
    for job in session.scalars(select(JobRow).where(JobRow.state.not_in(FINAL_STATES))):
        yield f"Job {job.id} is still {job.state} after {job.attempts} attempts."
    for job in session.scalars(select(JobRow).where(JobRow.state == State.SUCCEEDED)):
        if is_poison(job.study.study_uid):
            yield f"Job {job.id} kills every worker, and has succeeded."
    held = JobRow.claim.is_not(None) | JobRow.lease_until.is_not(None)
    for job in session.scalars(select(JobRow).where(JobRow.state.in_(FINAL_STATES), held)):
        yield f"Job {job.id} has ended and is still held."


def _reports(session: Session) -> Iterator[str]:
    counted = select(ReportRow.job_id, func.count()).group_by(ReportRow.job_id)
    reports: dict[object, int] = dict(session.execute(counted).all())
    for job in session.scalars(select(JobRow)):
        expected = 1 if job.state is State.SUCCEEDED else 0
        if reports.get(job.id, 0) != expected:
            yield f"Job {job.id} is {job.state} and has {reports.get(job.id, 0)} reports."


def _histories(session: Session) -> Iterator[str]:
    """Replay what happened to each job by the table of legal steps."""
    steps: dict[object, list[str]] = {}
    for job_id, event in session.execute(
        select(JobEventRow.job_id, JobEventRow.event).order_by(JobEventRow.id)
    ):
        steps.setdefault(job_id, []).append(event)
    for job in session.scalars(select(JobRow)):
        state = State.QUEUED
        for event in steps.get(job.id, []):
            if event not in set(State):
                continue
            if not may_move(state, State(event)):
                yield f"Job {job.id} went from {state} to {event}."
            state = State(event)
        if state is not job.state:
            yield f"Job {job.id} is {job.state}, and its events end in {state}."
        if steps.get(job.id, []).count("submitted") != 1:
            yield f"Job {job.id} was submitted {steps.get(job.id, []).count('submitted')} times."


def _files(session: Session, store: StudyStore) -> Iterator[str]:
    """Hold files to rows and rows to files."""
    root = Path(store.root)
    there = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    named = dict(session.execute(select(InstanceRow.key, InstanceRow.sha256)).all())
    named |= dict(session.execute(select(ArtifactRow.key, ArtifactRow.sha256)).all())
    yield from (f"{key} is named by a row and is not there." for key in named.keys() - there)
    unfinished = tuple(session.scalars(select(WritingRow.prefix)))
    yield from (
        f"{key} is there and no row names it."
        for key in there - named.keys()
        # Of an upload that died: known, and taken away once no upload can last so long.
        if not key.startswith(unfinished or ("-",))
    )
    yield from (
        f"{key} has other bytes than its row says."
        for key in named.keys() & there
        if hashlib.sha256((root / key).read_bytes()).hexdigest() != named[key]
    )


def tally(session: Session) -> dict[str, object]:
    """Return what came of the jobs, in numbers."""
    states = Counter(str(state) for state in session.scalars(select(JobRow.state)))
    codes = Counter(
        session.scalars(select(JobRow.error_code).where(JobRow.error_code.is_not(None)))
    )
    return {
        "jobs": states.total(),
        "studies": session.scalar(select(func.count()).select_from(StudyRow)),
        "states": dict(sorted(states.items())),
        "codes": dict(sorted(codes.items())),
        "attempts": session.scalar(select(func.sum(JobRow.attempts))),
        "reports": session.scalar(select(func.count()).select_from(ReportRow)),
        "files": session.scalar(select(func.count()).select_from(ArtifactRow)),
        "uploads left half done": session.scalar(select(func.count()).select_from(WritingRow)),
    }
