# SPDX-License-Identifier: Apache-2.0
"""Studies that are to go for good: which, how much that is, and what has gone."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from db.scope import Scope
from db.tables import ArtifactRow, DeliveryRow, JobRow, PurgeRow, StudyRow
from hilum.destinations import DeliveryState
from hilum.errors import InvalidRequest, UnknownPurge
from hilum.jobs import State
from hilum.retention import Reason

JOB: Final = aliased(JobRow)
"""Another name than that of a query which asks for jobs itself."""

UNDER_WAY: Final = or_(
    exists().where(JOB.study_id == StudyRow.id, JOB.state.in_((State.QUEUED, State.RUNNING))),
    exists().where(
        JOB.study_id == StudyRow.id,
        DeliveryRow.job_id == JOB.id,
        DeliveryRow.state == DeliveryState.SENDING,
    ),
)
"""Somebody is at the files of a study."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which studies are to go; at least one of the three is given.

    Attributes:
        tenant_id: of this hospital.
        before: received before then.
        study_uid: every upload of this study.
        study_id: this upload.
    """

    tenant_id: UUID
    before: datetime | None = None
    study_uid: str | None = None
    study_id: UUID | None = None

    def conditions(self, scope: Scope) -> list[ColumnElement[bool]]:
        """Return what is asked of a study.

        Raises:
            InvalidRequest: nothing is, so that every study of a hospital would go by a slip.
        """
        asked = [
            (StudyRow.created_at.__lt__, self.before),
            (StudyRow.study_uid.__eq__, self.study_uid),
            (StudyRow.id.__eq__, self.study_id),
        ]
        found = [ask(value) for ask, value in asked if value is not None]
        if not found:
            raise InvalidRequest(
                "Nothing says which studies are to go, expected a date or a study."
            )
        return [scope.holds(StudyRow.tenant_id), StudyRow.tenant_id == self.tenant_id, *found]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would go.

    Attributes:
        studies, jobs, files, bytes: how much.
        oldest, newest: when the first and the last of them were received; None where none would go.
        under_way: studies that would stand back, because somebody is at them.
    """

    studies: int
    jobs: int
    files: int
    bytes: int
    oldest: datetime | None
    newest: datetime | None
    under_way: int


NOTHING: Final = Preview(0, 0, 0, 0, None, None, 0)


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants which studies gone, and why.

    Attributes:
        chosen: which.
        scope: the hospitals in which they may.
        by: who.
        reason: why.
        address: from which network address.
    """

    chosen: Chosen
    scope: Scope
    by: str
    reason: Reason = Reason.REQUEST
    address: str | None = None


def preview(session: Session, scope: Scope, chosen: Chosen) -> Preview:
    """Return what a purge would take, and change nothing.

    Raises:
        InvalidRequest: nothing is chosen.
    """
    asked = chosen.conditions(scope)
    going = (*asked, ~UNDER_WAY)
    studies, files, size, oldest, newest = session.execute(
        select(
            func.count(),
            func.coalesce(func.sum(StudyRow.instance_count), 0),
            func.coalesce(func.sum(StudyRow.size_bytes), 0),
            func.min(StudyRow.created_at),
            func.max(StudyRow.created_at),
        ).where(*going)
    ).one()
    of_job = select(func.count()).select_from(JobRow).join(StudyRow)
    jobs = session.scalars(of_job.where(*going)).one()
    made = select(func.count(), func.coalesce(func.sum(ArtifactRow.size_bytes), 0))
    written, written_bytes = session.execute(
        made.select_from(ArtifactRow)
        .join(JobRow, JobRow.id == ArtifactRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
        .where(*going)
    ).one()
    stays = session.scalars(select(func.count()).where(*asked, UNDER_WAY)).one()
    total = (int(files) + written, int(size) + int(written_bytes))
    return Preview(studies, jobs, *total, oldest, newest, stays)


def list_purges(session: Session, scope: Scope, *, limit: int = 50) -> list[PurgeRow]:
    """Return the newest purges."""
    of_scope = select(PurgeRow).where(scope.holds(PurgeRow.tenant_id))
    return list(session.scalars(of_scope.order_by(PurgeRow.at.desc(), PurgeRow.id).limit(limit)))


def find_purge(session: Session, scope: Scope, purge_id: UUID) -> PurgeRow:
    """Return a purge.

    Raises:
        UnknownPurge: there is none, or it is of a hospital outside the scope.
    """
    wanted = select(PurgeRow).where(PurgeRow.id == purge_id, scope.holds(PurgeRow.tenant_id))
    row = session.scalar(wanted)
    if row is None:
        raise UnknownPurge(f"There is no purge {purge_id}.")
    return row
