# SPDX-License-Identifier: Apache-2.0
"""Cases as files tell them: of each, in one narrow row, what has a column there.

A list of a year is read for one file. As objects, with all that is kept of a study, that takes several
times as long.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, bindparam, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.cases import SORTS, Search
from db.pages import Listing, Page, fetch_page, iterate
from db.session import Sessions
from db.tables import CaseRow, JobRow, ReportRow, StudyRow, TenantRow
from hilum.dicom.attributes import tag_of
from hilum.jobs import Priority, State


@dataclass(frozen=True, slots=True)
class ExportedCase:
    """A case, each value as its column has it; what a report says is None where there is none.

    Attributes:
        patient_name: as DICOM JSON has it, or None.
    """

    job_id: UUID
    tenant_id: UUID
    hospital: str
    study_uid: str
    accession_number: str | None
    study_date: date | None
    scanner: str | None
    received_at: datetime
    finished_at: datetime | None
    pipeline: str
    network: str
    priority: Priority
    state: State
    error_code: str | None
    verdict: str | None
    grade: str | None
    review: bool | None
    lesion_share: float | None
    lesion_ml: float | None
    lung_ml: float | None
    patient_name: Any
    patient_id: str | None


COLUMNS: Final[Mapping[str, InstrumentedAttribute[Any] | ColumnElement[Any]]] = {
    "job_id": CaseRow.job_id,
    "tenant_id": CaseRow.tenant_id,
    "hospital": TenantRow.name,
    "study_uid": StudyRow.study_uid,
    "accession_number": StudyRow.accession_number,
    "study_date": StudyRow.study_date,
    "scanner": CaseRow.scanner,
    "received_at": CaseRow.received_at,
    "finished_at": CaseRow.finished_at,
    "pipeline": CaseRow.pipeline,
    "network": CaseRow.network,
    "priority": CaseRow.priority,
    "state": CaseRow.state,
    "error_code": JobRow.error_code,
    "verdict": CaseRow.verdict,
    "grade": CaseRow.grade,
    "review": CaseRow.review,
    "lesion_share": CaseRow.lesion_share,
    "lesion_ml": ReportRow.lesion_ml,
    "lung_ml": ReportRow.lung_ml,
    "patient_name": StudyRow.attributes[(tag_of("PatientName"), "Value", "0")],
    "patient_id": StudyRow.patient_id,
}
"""Where each field is read from."""


def iterate_exported(sessions: Sessions, wanted: Search, sort: str) -> Iterator[ExportedCase]:
    """Yield every case of a list, for a file of unknown length."""
    return iterate(sessions, lambda session, page: _list(session, wanted, page), sort)


def _list(session: Session, wanted: Search, page: Page) -> Listing[ExportedCase]:
    ids = wanted.query.with_only_columns(CaseRow.job_id)
    found = fetch_page(session, ids, page, columns=SORTS, id_column=CaseRow.job_id)
    # The rest is joined once the page is known, not to rows that are sorted out; and by indexes: for
    # some hundred of its rows PostgreSQL would read a whole table, for page after page.
    session.execute(text("SET LOCAL enable_seqscan = off"))
    these = any_(bindparam(None, found.rows, ARRAY(Uuid), unique=True))
    query = (
        select(*(COLUMNS[field.name] for field in fields(ExportedCase)))
        .select_from(CaseRow)
        .join(TenantRow, TenantRow.id == CaseRow.tenant_id)
        .join(JobRow, JobRow.id == CaseRow.job_id)
        .join(StudyRow, StudyRow.id == JobRow.study_id)
        .outerjoin(ReportRow, ReportRow.job_id == CaseRow.job_id)
        .where(CaseRow.job_id == these)
    )
    by_id = {row[0]: ExportedCase(*row) for row in session.execute(query)}
    # One that is removed between the two is in neither.
    rows = [by_id[job_id] for job_id in found.rows if job_id in by_id]
    return Listing(rows, found.next_cursor)
