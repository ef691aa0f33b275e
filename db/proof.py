# SPDX-License-Identifier: Apache-2.0
"""Whether what was purged is gone: asked of every table and of the store, at any time later."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.removal import digest_of, folder_digest, references
from db.tables import JobRow, PurgedRow, PurgeRow, Row, StudyRow, WritingRow
from hilum.places import job_folder, studies_of
from hilum.storage import StudyStore

AT_ONCE: Final = 1000
"""Ids of one question."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a look for purged studies found.

    Attributes:
        studies, jobs: how many were looked for.
        rows: that are left, by table; those alone that have some.
        folders: that are left in the store.
        noted: of these, those that the upkeep will take away.
        is_recorded: the record of the purge is the one whose hash it has.
    """

    studies: int
    jobs: int
    rows: dict[str, int]
    folders: int
    noted: int
    is_recorded: bool

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left."""
        return not self.rows and not self.folders and self.is_recorded


def prove(session: Session, store: StudyStore, purge: PurgeRow) -> Proof:
    """Look for what was purged, in every table and in the store.

    Raises:
        StorageUnavailable: a remote store does not answer.
    """
    gone = list(session.scalars(select(PurgedRow).where(PurgedRow.purge_id == purge.id)))
    study_ids = [row.study_id for row in gone]
    job_ids = [UUID(job_id) for row in gone for job_id in row.job_ids]
    left = [*_study_folders(store, purge, gone), *_job_folders(store, purge, job_ids)]
    recorded = (len(gone), digest_of(row.content_sha256 for row in gone))
    return Proof(
        studies=len(study_ids),
        jobs=len(job_ids),
        rows=_rows_left(session, study_ids, job_ids),
        folders=len(left),
        noted=_noted(session, left),
        is_recorded=recorded == (purge.studies, purge.sha256),
    )


def _rows_left(
    session: Session, study_ids: Sequence[UUID], job_ids: Sequence[UUID]
) -> dict[str, int]:
    found: dict[str, int] = {}
    for owner, ids in ((StudyRow, study_ids), (JobRow, job_ids)):
        own = Row.metadata.tables[owner.__tablename__]
        for table, column in [(own, own.c.id), *references(owner)]:
            for some in _chunks(ids):
                counted = select(func.count()).select_from(table).where(column.in_(some))
                count = session.scalars(counted).one()
                if count:
                    found[table.name] = found.get(table.name, 0) + count
    return found


def _study_folders(store: StudyStore, purge: PurgeRow, gone: Sequence[PurgedRow]) -> Iterator[str]:
    wanted: dict[str, list[UUID]] = {}
    for row in gone:
        wanted.setdefault(row.folder_sha256, []).append(row.study_id)
    root = studies_of(purge.tenant_id)
    for name in store.folders(root):
        for study_id in wanted.get(folder_digest(purge.id, name), ()):
            if store.holds(folder := f"{root}/{name}/{study_id}"):
                yield folder


def _job_folders(store: StudyStore, purge: PurgeRow, job_ids: Sequence[UUID]) -> Iterator[str]:
    folders = (job_folder(purge.tenant_id, job_id) for job_id in job_ids)
    return filter(store.holds, folders)


def _noted(session: Session, folders: Sequence[str]) -> int:
    noted = select(func.count()).select_from(WritingRow)
    return sum(
        session.scalars(noted.where(WritingRow.prefix.in_(some))).one() for some in _chunks(folders)
    )


def _chunks(ids: Sequence[UUID] | Sequence[str]) -> Iterator[Sequence[UUID] | Sequence[str]]:
    return (ids[first : first + AT_ONCE] for first in range(0, len(ids), AT_ONCE))
