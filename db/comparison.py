# SPDX-License-Identifier: Apache-2.0
"""Reports that one is held against: of the same study, and of the same patient at another time."""

from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from db.scope import Scope
from db.tables import ReportRow, StudyRow
from hilum.change import SIDES, Change, Reading, burden_of, change_between
from hilum.dicom.attributes import tag_of
from hilum.errors import UnknownReport
from hilum.registry import AT

MOST: Final = 20
"""Reports that one may be held against; who has more is served by the newest."""

MOST_STUDIES: Final = 200
"""Uploads of one patient; a number that more have is what an archive writes for everybody."""

TELLING: Final = ("PatientBirthDate", "IssuerOfPatientID")
"""Attributes that must not differ between two studies of one patient: hospitals use numbers such as
`0` for whoever has none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A report as it is held against another.

    Attributes:
        job_id, report_id, study_id, tenant_id: whose it is.
        study_uid: the study, whichever upload of it.
        created_at: when it was written.
        reading: what it says.
    """

    job_id: UUID
    report_id: UUID
    study_id: UUID
    tenant_id: UUID
    study_uid: str
    created_at: datetime
    reading: Reading

    @property
    def age(self) -> tuple[date, datetime]:
        """What sorts reports by when the patient was scanned; those without a date come first."""
        return self.reading.study_date or date.min, self.created_at


def compared(session: Session, scope: Scope, job_id: UUID) -> Compared:
    """Return the report of a job, to be held against others.

    Raises:
        UnknownReport: there is none, or it is of a hospital out of scope.
    """
    found = session.execute(_all(scope).where(ReportRow.job_id == job_id)).one_or_none()
    if found is None:
        raise UnknownReport(f"There is no report of job {job_id}.")
    return _compared(found)


def of_same_study(session: Session, scope: Scope, one: Compared) -> list[Compared]:
    """Return other reports of a study, by other networks or versions, the newest first."""
    query = _all(scope).where(_same_study(one), ReportRow.id != one.report_id)
    newest = query.order_by(ReportRow.created_at.desc(), ReportRow.id).limit(MOST)
    return _read(session, newest)


def of_same_patient(session: Session, patients: Scope, one: Compared) -> list[Compared]:
    """Return a report of each other study of a patient in the same hospital, the latest scan first.

    Of several reports of a study, the newest by the same network, or else the newest.

    Args:
        session: one transaction.
        patients: hospitals whose patients may be known to whoever asks.
        one: a report of the patient.
    """
    if one.tenant_id not in patients or (same := _same_patient(session, one)) is None:
        return []
    same_network = (ReportRow.network == one.reading.network).desc()
    newest = (same_network, ReportRow.created_at.desc(), ReportRow.id)
    each = (
        _all(patients)
        .where(same, StudyRow.study_uid != one.study_uid)
        .ext(distinct_on(StudyRow.study_uid))
        .order_by(StudyRow.study_uid, *newest)
    )
    found = sorted(_read(session, each), key=attrgetter("age"), reverse=True)
    return found[:MOST]


def change_of(
    session: Session, scope: Scope, patients: Scope, *, job_id: UUID, other_id: UUID
) -> tuple[Compared, Compared, Change]:
    """Return two reports, the earlier scan first, and what changed.

    Raises:
        UnknownReport: one of the two is not there, is out of scope, or they are neither of one
            study nor of one patient who may be known.
    """
    one, other = compared(session, scope, job_id), compared(session, scope, other_id)
    if one.report_id == other.report_id or not _may_compare(session, patients, one, other):
        raise UnknownReport(f"Job {other_id} has no report to hold that of job {job_id} against.")
    before, after = sorted((one, other), key=attrgetter("age"))
    return before, after, change_between(before.reading, after.reading)


def _may_compare(session: Session, patients: Scope, one: Compared, other: Compared) -> bool:
    if (one.tenant_id, one.study_uid) == (other.tenant_id, other.study_uid):
        return True
    if one.tenant_id not in patients or (same := _same_patient(session, one)) is None:
        return False
    return (
        session.scalar(select(StudyRow.id).where(StudyRow.id == other.study_id, same)) is not None
    )


def _same_study(one: Compared) -> ColumnElement[bool]:
    return and_(StudyRow.tenant_id == one.tenant_id, StudyRow.study_uid == one.study_uid)


def _is_of_many(session: Session, tenant_id: UUID, patient_id: str) -> bool:
    """Whether so many studies have a number that it is nobody's, such as `Anonymous`."""
    few = (
        select(StudyRow.id)
        .where(StudyRow.tenant_id == tenant_id, StudyRow.patient_id == patient_id)
        .limit(MOST_STUDIES + 1)
    )
    return len(session.scalars(few).all()) > MOST_STUDIES


def _same_patient(session: Session, one: Compared) -> ColumnElement[bool] | None:
    """Return the condition that `StudyRow` is of the same patient; None where nobody knows whom."""
    told = select(StudyRow.patient_id, *map(_said, TELLING)).where(StudyRow.id == one.study_id)
    patient_id, *values = session.execute(told).one()
    if (
        patient_id is None
        or not patient_id.strip()
        or _is_of_many(session, one.tenant_id, patient_id)
    ):
        return None
    known = [(_said(name), value) for name, value in zip(TELLING, values, strict=True) if value]
    return and_(
        StudyRow.tenant_id == one.tenant_id,
        StudyRow.patient_id == patient_id,
        *(or_(said.is_(None), said == value) for said, value in known),
    )


def _said(keyword: str) -> ColumnElement[str | None]:
    said: ColumnElement[str | None] = StudyRow.attributes[tag_of(keyword)]["Value"][0].astext
    return said


def _all(scope: Scope) -> Select[*tuple[Any, ...]]:
    """Return the query of every report in scope, without what of its document is not compared."""
    document = ReportRow.document
    return (
        select(
            ReportRow.job_id,
            ReportRow.id,
            ReportRow.study_id,
            ReportRow.tenant_id,
            StudyRow.study_uid,
            StudyRow.study_date,
            ReportRow.created_at,
            ReportRow.pipeline,
            ReportRow.pipeline_version,
            ReportRow.network,
            ReportRow.thresholds,
            ReportRow.verdict,
            ReportRow.grade,
            document["spacing_mm"][0].as_float().label("slice_mm"),
            *(document[side].label(side) for side in SIDES),
        )
        .join(StudyRow, StudyRow.id == ReportRow.study_id)
        .where(scope.holds(ReportRow.tenant_id))
    )


def _read(session: Session, query: Select[*tuple[Any, ...]]) -> list[Compared]:
    return [_compared(row) for row in session.execute(query)]


def _compared(row: Row[*tuple[Any, ...]]) -> Compared:
    reading = Reading(
        pipeline=f"{row.pipeline}{AT}{row.pipeline_version}",
        network=row.network,
        thresholds=row.thresholds,
        verdict=row.verdict,
        grade=row.grade,
        study_date=row.study_date,
        slice_mm=row.slice_mm,
        burden={side: burden_of(getattr(row, side)) for side in SIDES},
    )
    return Compared(
        row.job_id, row.id, row.study_id, row.tenant_id, row.study_uid, row.created_at, reading
    )
