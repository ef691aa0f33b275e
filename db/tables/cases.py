# SPDX-License-Identifier: Apache-2.0
"""The list of cases: of each, in one narrow row, what it is narrowed and sorted by."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row
from db.tables.jobs import JobRow
from db.tables.reports import ReportRow
from hilum.jobs import Priority, State


class CaseRow(Row):
    """A job, what it is of and what it found; docs/decisions/0009 says why it is kept twice.

    Triggers keep it, as the view `cases_now` has it (revision 0022): nobody writes it.
    """

    __tablename__ = "cases"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
    )
    tenant_id: Mapped[UUID]
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    state: Mapped[State]
    priority: Mapped[Priority]
    pipeline: Mapped[str]
    network: Mapped[str]
    study_date: Mapped[date | None]
    scanner: Mapped[str | None]
    """Manufacturer and model of the largest CT series."""
    verdict: Mapped[str | None]
    grade: Mapped[str | None]
    review: Mapped[bool | None]
    lesion_share: Mapped[float | None]
    """Of lung, 0..1; None, as the three above, without a report."""
    words: Mapped[str] = mapped_column(TSVECTOR, deferred=True)
    """What anybody may find it by: StudyInstanceUID, the code of its error, and its network, which many
    share: of words that are all unique the planner keeps no statistics."""
    patient_words: Mapped[str] = mapped_column(TSVECTOR, deferred=True)
    """What those may find it by who know its patient: PatientName in each script, PatientID, and
    AccessionNumber, which names the patient's order."""

    job: Mapped[JobRow] = relationship()
    report: Mapped[ReportRow | None] = relationship(
        primaryjoin=lambda: CaseRow.job_id == ReportRow.job_id,
        foreign_keys=[ReportRow.job_id],
        viewonly=True,
    )

    __table_args__ = (
        Index("ix_cases_received", "received_at", "job_id"),
        Index("ix_cases_tenant_received", "tenant_id", "received_at", "job_id"),
        # What has no such value has a place in the order all the same: before all others.
        Index(
            "ix_cases_finished",
            text("coalesce(finished_at, '1970-01-01 00:00:00+00'::timestamptz)"),
            "job_id",
        ),
        Index("ix_cases_dated", text("coalesce(study_date, '0001-01-01'::date)"), "job_id"),
        Index("ix_cases_share", text("coalesce(lesion_share, -1)"), "job_id"),
        # Which there are is read from these, too.
        Index("ix_cases_scanner", "scanner", "tenant_id"),
        Index("ix_cases_network", "network", "tenant_id"),
        Index("ix_cases_words", "words", postgresql_using="gin"),
        Index("ix_cases_patient_words", "patient_words", postgresql_using="gin"),
    )
