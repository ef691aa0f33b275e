# SPDX-License-Identifier: Apache-2.0
"""How studies go for good, with everything of them: step by step, and safely at every moment.

A step takes a few studies out of the database and notes their files, in one transaction with its
entry in the audit log. The files go next. Whoever dies in between has left the note, and the upkeep
takes them away. A study that somebody is at stands back.
"""

import hashlib
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Table, delete, exists, func, insert, select, tuple_
from sqlalchemy.orm import Session

from db.audit import append
from db.purges import UNDER_WAY, Wish
from db.session import Sessions
from db.tables import (
    ArtifactRow,
    BatchJobRow,
    BatchRow,
    JobRow,
    PurgedRow,
    PurgeRow,
    ReportRow,
    Row,
    StudyRow,
)
from db.writings import end_writing, leave_to_upkeep
from hilum.audit import Action, Entry
from hilum.dicom.uids import as_name
from hilum.errors import TransientError
from hilum.places import job_folder, study_folder
from hilum.retention import Reason
from hilum.storage import StudyStore

AT_ONCE: Final = 20
"""Studies of one step: thousands of rows, a moment."""

Place = tuple[datetime, UUID]
"""When a study was received, and its id: steps go on from there."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did.

    Attributes:
        place: of the last study it looked at.
        purge_id: of what it did; None where every study stood back.
        studies: how many went.
        prefixes: of the files that no row names any more.
    """

    place: Place
    purge_id: UUID | None
    studies: int = 0
    prefixes: Sequence[str] = ()


def purge(
    sessions: Sessions, store: StudyStore, wish: Wish, *, longest_s: float = math.inf
) -> UUID | None:
    """Take studies away, rows and files; return the purge to prove it by, None where none went.

    What a store keeps for now, because it is away, the upkeep takes later.

    Args:
        sessions: a transaction for each step.
        store: where their files are.
        wish: which, and who wants it.
        longest_s: no step is begun after so long.

    Raises:
        InvalidRequest: nothing is chosen.
    """
    purge_id, over = None, time.monotonic() + longest_s
    for step in _steps(sessions, wish):
        purge_id = step.purge_id or purge_id
        remove_files(sessions, store, step.prefixes)
        if time.monotonic() >= over:
            break
    return purge_id


# ── A step ────────────────────────────────────────────────────────────────────────────────────


def _steps(sessions: Sessions, wish: Wish) -> Iterator[Step]:
    after: Place | None = None
    purge_id: UUID | None = None
    while True:
        with sessions.begin() as session:
            step = take_step(session, wish, after=after, purge_id=purge_id)
        if step is None:
            return
        after, purge_id = step.place, step.purge_id or purge_id
        yield step


def take_step(
    session: Session, wish: Wish, *, after: Place | None = None, purge_id: UUID | None = None
) -> Step | None:
    """Take a few studies out of the database and note their files; None where none is left.

    Args:
        session: one transaction.
        wish: which studies.
        after: where the step before ended.
        purge_id: the purge that it began.
    """
    studies = _lock_studies(session, wish, after)
    if not studies:
        return None
    place = (studies[-1].created_at, studies[-1].id)
    jobs, held = _lock_jobs(session, [study.id for study in studies])
    studies = [study for study in studies if study.id not in held]
    jobs = [job for job in jobs if job.study_id not in held]
    if not studies:
        return Step(place, None)
    row = _purge_row(session, wish, purge_id)
    prefixes = _prefixes(studies, jobs)
    _count(session, row, studies, jobs)
    _note(session, row, studies, jobs)
    _delete(session, [study.id for study in studies], [job.id for job in jobs])
    leave_to_upkeep(session, prefixes)
    append(session, _entry(row, wish, studies, jobs))
    return Step(place, row.id, len(studies), prefixes)


def _lock_studies(session: Session, wish: Wish, after: Place | None) -> list[StudyRow]:
    query = select(StudyRow).where(*wish.chosen.conditions(wish.scope), ~UNDER_WAY)
    if after is not None:
        here = tuple_(StudyRow.created_at, StudyRow.id)
        query = query.where(
            here > tuple_(*after, types=[StudyRow.created_at.type, StudyRow.id.type])
        )
    # Who holds one is another purge, or about to queue a job of it: nobody waits for the other.
    query = query.with_for_update(of=StudyRow, skip_locked=True)
    order = (StudyRow.created_at, StudyRow.id)
    return list(session.scalars(query.order_by(*order).limit(AT_ONCE)))


def _lock_jobs(session: Session, study_ids: list[UUID]) -> tuple[list[JobRow], set[UUID]]:
    """Return the jobs of studies, and the studies that have one which somebody is at.

    With its study locked, a job more cannot come; with itself locked, it cannot be tried again.
    """
    of_studies = select(JobRow).where(JobRow.study_id.in_(study_ids))
    locking = of_studies.with_for_update(of=JobRow, skip_locked=True)
    jobs = list(session.scalars(locking.execution_options(populate_existing=True)))
    ours = {job.id for job in jobs if job.is_final}
    all_of_them = select(JobRow.id, JobRow.study_id).where(JobRow.study_id.in_(study_ids))
    held = {study_id for job_id, study_id in session.execute(all_of_them) if job_id not in ours}
    return jobs, held


def _purge_row(session: Session, wish: Wish, purge_id: UUID | None) -> PurgeRow:
    chosen = wish.chosen
    known = select(PurgeRow).where(PurgeRow.id == purge_id)
    if wish.reason is Reason.RETENTION:
        # What is past its time on one day is one purge, in however many steps.
        known = select(PurgeRow).where(
            PurgeRow.tenant_id == chosen.tenant_id,
            PurgeRow.reason == wish.reason,
            PurgeRow.before == chosen.before,
        )
    # Who carried it on meanwhile has counted, too.
    known = known.limit(1).with_for_update().execution_options(populate_existing=True)
    row = session.scalar(known)
    if row is None:
        row = PurgeRow(
            id=uuid4(),
            tenant_id=chosen.tenant_id,
            by=wish.by,
            reason=wish.reason,
            before=chosen.before,
            studies=0,
            jobs=0,
            files=0,
            bytes=0,
        )
        session.add(row)
        session.flush()
    return row


def _count(
    session: Session, row: PurgeRow, studies: Sequence[StudyRow], jobs: Sequence[JobRow]
) -> None:
    made = select(func.count(), func.coalesce(func.sum(ArtifactRow.size_bytes), 0))
    of_jobs = ArtifactRow.job_id.in_([job.id for job in jobs])
    files, size = session.execute(made.where(of_jobs)).one()
    row.studies += len(studies)
    row.jobs += len(jobs)
    row.files += files + sum(study.instance_count for study in studies)
    row.bytes += int(size) + sum(study.size_bytes for study in studies)


def _note(
    session: Session, row: PurgeRow, studies: Sequence[StudyRow], jobs: Sequence[JobRow]
) -> None:
    of_study: dict[UUID, list[str]] = {study.id: [] for study in studies}
    for job in jobs:
        of_study[job.study_id].append(str(job.id))
    values = [
        {
            "purge_id": row.id,
            "study_id": study.id,
            "content_sha256": study.content_sha256,
            "folder_sha256": folder_digest(row.id, as_name(study.study_uid)),
            "job_ids": of_study[study.id],
        }
        for study in studies
    ]
    session.execute(insert(PurgedRow), values)
    contents = select(PurgedRow.content_sha256).where(PurgedRow.purge_id == row.id)
    row.sha256 = digest_of(session.scalars(contents))


def digest_of(contents: Iterable[str]) -> str:
    """Return the hash over the content hashes of studies, in whichever order they are given."""
    return hashlib.sha256("".join(sorted(contents)).encode()).hexdigest()


def folder_digest(purge_id: UUID, folder: str) -> str:
    """Return the hash by which the folder of a study is known again, should it still be there.

    Its name is the study's UID, which leads to the patient; the hash leads nowhere without it.
    """
    return hashlib.sha256(f"{purge_id}/{folder}".encode()).hexdigest()


def _prefixes(studies: Sequence[StudyRow], jobs: Sequence[JobRow]) -> list[str]:
    sent = [study_folder(study.tenant_id, study.study_uid, study.id) for study in studies]
    return [*sent, *(job_folder(job.tenant_id, job.id) for job in jobs)]


def _entry(row: PurgeRow, wish: Wish, studies: Sequence[StudyRow], jobs: Sequence[JobRow]) -> Entry:
    detail = {
        "reason": wish.reason,
        "studies": [study.id for study in studies],
        "jobs": [job.id for job in jobs],
    }
    subject = str(row.id)
    return Entry(wish.by, Action.PURGED, row.tenant_id, subject, detail, wish.address)


# ── Rows ──────────────────────────────────────────────────────────────────────────────────────


def references(to: type[Row]) -> Iterator[tuple[Table, ColumnElement[Any]]]:
    """Yield every column that refers to a kind of row, of the tables that need others first.

    They are asked of the tables themselves, so that one which is added later is not forgotten.
    """
    for table in reversed(Row.metadata.sorted_tables):
        for key in table.foreign_keys:
            if key.column.table is to.__table__ and key.ondelete != "SET NULL":
                yield table, key.parent


def _delete(session: Session, study_ids: list[UUID], job_ids: list[UUID]) -> None:
    of_studies = ReportRow.study_id.in_(study_ids)
    report_ids = list(session.scalars(select(ReportRow.id).where(of_studies)))
    batch_ids = _batches_of(session, job_ids)
    for owner, ids in ((ReportRow, report_ids), (JobRow, job_ids), (StudyRow, study_ids)):
        for table, column in references(owner):
            session.execute(delete(table).where(column.in_(ids)))
    session.execute(delete(StudyRow).where(StudyRow.id.in_(study_ids)))
    # A batch that nobody joins any more, and of which nothing is left, has a label that says whose it was.
    is_empty = ~exists().where(BatchJobRow.batch_id == BatchRow.id)
    over = (BatchRow.id.in_(batch_ids), BatchRow.closed_at.is_not(None), is_empty)
    session.execute(delete(BatchRow).where(*over))


def _batches_of(session: Session, job_ids: list[UUID]) -> list[UUID]:
    of_jobs = select(BatchJobRow.batch_id).where(BatchJobRow.job_id.in_(job_ids)).distinct()
    return list(session.scalars(of_jobs))


def remove_files(sessions: Sessions, store: StudyStore, prefixes: Iterable[str]) -> None:
    """Take files away that no row names any more; what a store keeps for now stays noted."""
    removed = [prefix for prefix in prefixes if _is_removed(store, prefix)]
    with sessions.begin() as session:
        for prefix in removed:
            end_writing(session, prefix)


def _is_removed(store: StudyStore, prefix: str) -> bool:
    try:
        store.delete(prefix)
    except (OSError, TransientError):
        # The upkeep tries again, and says what stands in the way.
        return False
    return True
