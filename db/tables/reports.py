# SPDX-License-Identifier: Apache-2.0
"""What jobs found."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now
from db.tables.jobs import JobRow
from db.tables.studies import StudyRow


class ReportRow(Row):
    """What a job found; the columns are what lists filter and sort by, the document is whole."""

    __tablename__ = "reports"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"), unique=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), index=True)
    pipeline: Mapped[str]
    pipeline_version: Mapped[str]
    network: Mapped[str]
    network_sha256: Mapped[str]
    code_version: Mapped[str]
    thresholds: Mapped[str]
    verdict: Mapped[str]
    grade: Mapped[str]
    review: Mapped[bool]
    lesion_share: Mapped[float]
    lesion_ml: Mapped[float]
    lung_ml: Mapped[float]
    seconds_per_slice: Mapped[float]
    worker: Mapped[str | None]
    """Host that made it; empty where a report of before it was kept does not tell."""
    device: Mapped[str | None]
    """What it computed on, `cpu` or `cuda:` and its number; likewise."""
    document: Mapped[dict[str, Any]]
    """`hilum.findings.Report.to_json()`."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    job: Mapped[JobRow] = relationship()
    study: Mapped[StudyRow] = relationship()
    findings: Mapped[list["FindingRow"]] = relationship(order_by="FindingRow.number")

    __table_args__ = (
        CheckConstraint("lesion_share BETWEEN 0 AND 1", name="lesion_share_is_share"),
        # The figures of many cases are read from the index alone.
        Index(
            "ix_reports_tenant_created",
            "tenant_id",
            "created_at",
            "id",
            postgresql_include=[
                "verdict",
                "lesion_share",
                "seconds_per_slice",
                "pipeline",
                "network",
                "worker",
                "device",
            ],
        ),
        Index("ix_reports_tenant_verdict_created", "tenant_id", "verdict", "created_at", "id"),
        Index("ix_reports_tenant_share", "tenant_id", "lesion_share", "id"),
        # Whatever of a report decides its grade, so that no document is read to foretell one.
        Index(
            "ix_reports_grading",
            "thresholds",
            "id",
            postgresql_include=["tenant_id", "grade", "verdict", "lesion_share"],
        ),
    )


class FindingRow(Row):
    """One lesion of a report."""

    __tablename__ = "findings"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    report_id: Mapped[UUID] = mapped_column(
        ForeignKey("reports.id", ondelete="CASCADE"), index=True
    )
    number: Mapped[int]
    label: Mapped[str]
    lung: Mapped[str]
    volume_ml: Mapped[float]
    lung_share: Mapped[float]
    mean_hu: Mapped[float]
    first_slice: Mapped[int]
    last_slice: Mapped[int]
    box: Mapped[list[Any]]
    score: Mapped[float]
