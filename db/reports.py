# SPDX-License-Identifier: Apache-2.0
"""What jobs found: kept whole as a document, and in columns for what lists ask."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer, joinedload

from db.jobs import job_for
from db.pages import Conditions, Listing, Page, SortColumns, fetch_page, iterate, narrow, version_of
from db.session import Sessions
from db.tables import ArtifactRow, FindingRow, JobRow, ReportRow, StudyRow
from hilum.errors import ReportNotReady, UnknownReport
from hilum.findings import Report
from hilum.grading import Assessment, Grade, Verdict
from hilum.workers import host_of

SORTS: SortColumns = {
    "created_at": ReportRow.created_at,
    "lesion_share": ReportRow.lesion_share,
}


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports a list holds; None asks nothing.

    Attributes:
        verdict, grade, pipeline, review: exactly this one.
        network: this one, as `name@version`, or every version of a `name`.
        study_uid: of this study, whichever upload of it.
        share_from, share_to: lesion share of lung, 0..1, both included.
        since, until: written at or after, and before.
    """

    verdict: Verdict | None = None
    grade: Grade | None = None
    pipeline: str | None = None
    network: str | None = None
    review: bool | None = None
    study_uid: str | None = None
    share_from: float | None = None
    share_to: float | None = None
    since: datetime | None = None
    until: datetime | None = None


FILTERS: Conditions = {
    "verdict": ReportRow.verdict.__eq__,
    "grade": ReportRow.grade.__eq__,
    "pipeline": ReportRow.pipeline.__eq__,
    "network": version_of(ReportRow.network),
    "review": ReportRow.review.__eq__,
    "study_uid": lambda uid: ReportRow.study.has(StudyRow.study_uid == uid),
    "share_from": ReportRow.lesion_share.__ge__,
    "share_to": ReportRow.lesion_share.__le__,
    "since": ReportRow.created_at.__ge__,
    "until": ReportRow.created_at.__lt__,
}


def save_report(session: Session, job: JobRow, report: Report) -> ReportRow:
    """Keep the report of a job, and return its row."""
    row = ReportRow(
        job_id=job.id,
        tenant_id=job.tenant_id,
        study_id=job.study_id,
        pipeline=report.pipeline,
        pipeline_version=report.pipeline_version,
        # As asked for in the request; the file's own name is in the document.
        network=job.network,
        network_sha256=report.network.sha256,
        code_version=report.code_version,
        lesion_share=report.total.share,
        lesion_ml=report.total.lesion_ml,
        lung_ml=report.total.lung_ml,
        seconds_per_slice=report.seconds_per_slice,
        worker=None if job.worker is None else host_of(job.worker),
        device=report.network.device,
        document=report.to_json(),
        findings=[FindingRow(**asdict(finding)) for finding in report.findings],
        **assessed(report.assessment),
    )
    session.add(row)
    return row


def assessed(assessment: Assessment) -> dict[str, Any]:
    """Return the columns that a grading makes."""
    return {
        "thresholds": assessment.thresholds,
        "grade": assessment.grade,
        "verdict": assessment.verdict,
        "review": bool(assessment.review),
    }


def report_for(
    session: Session, tenant_id: UUID, job_id: UUID, *, is_locked: bool = False
) -> ReportRow:
    """Return the report of a tenant's job, with its study and findings; locked to be changed.

    Raises:
        UnknownJob: there is no such job, or it is another tenant's.
        ReportNotReady: the job has not ended.
        UnknownReport: the job has ended without one.
    """
    query = _of(tenant_id).where(ReportRow.job_id == job_id)
    row = session.scalar(query.with_for_update(of=ReportRow) if is_locked else query)
    if row is None:
        raise _not_ready(job_for(session, tenant_id, job_id))
    return row


def findings_of(session: Session, report_id: UUID, limit: int) -> list[FindingRow]:
    """Return the largest findings of a report, without the document."""
    query = select(FindingRow).where(FindingRow.report_id == report_id)
    return list(session.scalars(query.order_by(FindingRow.number).limit(limit)))


def artifact_for(session: Session, tenant_id: UUID, job_id: UUID, kind: str) -> ArtifactRow:
    """Return a file that a tenant's job wrote.

    Raises:
        UnknownJob: there is no such job, or it is another tenant's.
        ReportNotReady: the job has not ended.
        UnknownReport: the job has ended without it.
    """
    job = job_for(session, tenant_id, job_id)
    of_job = select(ArtifactRow).where(ArtifactRow.job_id == job.id, ArtifactRow.kind == kind)
    row = session.scalar(of_job)
    if row is None:
        raise _not_ready(job)
    return row


def _not_ready(job: JobRow) -> ReportNotReady | UnknownReport:
    if job.is_final:
        return UnknownReport(f"Job {job.id} ended as {job.state} and left no such result.")
    return ReportNotReady(f"Job {job.id} is {job.state}, a report comes once it has succeeded.")


def list_reports(
    session: Session, tenant_id: UUID, chosen: ReportFilter, page: Page
) -> Listing[ReportRow]:
    """Return one page of a tenant's reports with their studies, without their documents.

    Raises:
        InvalidRequest: the page is malformed.
    """
    # Every slice of a study has its line in the document: a page of them would be megabytes.
    query = narrow(_of(tenant_id), chosen, FILTERS).options(defer(ReportRow.document))
    return fetch_page(session, query, page, columns=SORTS, id_column=ReportRow.id)


def iterate_reports(
    sessions: Sessions, tenant_id: UUID, chosen: ReportFilter, sort: str = "-created_at"
) -> Iterator[ReportRow]:
    """Yield every report of a list, for a file of unknown length."""
    return iterate(
        sessions, lambda session, page: list_reports(session, tenant_id, chosen, page), sort
    )


def _of(tenant_id: UUID) -> Select[ReportRow]:
    return (
        select(ReportRow)
        .where(ReportRow.tenant_id == tenant_id)
        .options(joinedload(ReportRow.study))
    )
