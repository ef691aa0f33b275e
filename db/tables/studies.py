# SPDX-License-Identifier: Apache-2.0
"""What was sent: studies, their series and instances."""

from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Identity,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db.tables.base import Row, now


class StudyRow(Row):
    """One upload of a study; the same bytes are one row, more instances later are another."""

    __tablename__ = "studies"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    study_uid: Mapped[str]
    study_date: Mapped[date | None]
    patient_id: Mapped[str | None]
    accession_number: Mapped[str | None]
    attributes: Mapped[dict[str, Any] | None]
    """`hilum.dicom.attributes.Attributes.study`; none of what was kept before there were any."""
    deidentification: Mapped[dict[str, Any] | None]
    """What was done to it before it was stored, by tag; None where it is as it came."""
    content_sha256: Mapped[str]
    """Hash over the sorted hashes of the instances: the same through any door, in any order."""
    instance_count: Mapped[int]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)

    series: Mapped[list["SeriesRow"]] = relationship(
        back_populates="study",
        primaryjoin="and_(StudyRow.id == SeriesRow.study_id, SeriesRow.job_id.is_(None))",
    )
    """What was sent, without what jobs made of it."""

    __table_args__ = (
        Index("uq_studies_tenant_content", "tenant_id", "content_sha256", unique=True),
        Index("ix_studies_tenant_created", "tenant_id", "created_at", "id"),
        # A list sorted by date has a place for the studies without one: before all others.
        Index(
            "ix_studies_tenant_date",
            "tenant_id",
            text("coalesce(study_date, '0001-01-01'::date)"),
            "id",
        ),
        # The newest upload of a study is found by it too.
        Index("ix_studies_tenant_uid", "tenant_id", "study_uid", "created_at", "id"),
        # What a hospital has stored is summed up from the index alone.
        Index("ix_studies_stored", "tenant_id", postgresql_include=["size_bytes"]),
        Index("ix_studies_tenant_patient", "tenant_id", "patient_id"),
        Index("ix_studies_tenant_accession", "tenant_id", "accession_number"),
    )


class SeriesRow(Row):
    """One series of a study, as it was sent or as a job made it."""

    __tablename__ = "series"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    job_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), index=True
    )
    """Whose result it is; none of what was sent."""
    series_uid: Mapped[str] = mapped_column(index=True)
    modality: Mapped[str]
    description: Mapped[str]
    kernel: Mapped[str]
    instance_count: Mapped[int]
    sheet: Mapped[dict[str, Any] | None]
    """`hilum.dicom.quality.Sheet.to_json()`; none of series kept before there were sheets."""
    attributes: Mapped[dict[str, Any] | None]
    """`hilum.dicom.attributes.Attributes.series`."""

    study: Mapped[StudyRow] = relationship(back_populates="series")


class InstanceRow(Row):
    """One stored DICOM file."""

    __tablename__ = "instances"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    series_id: Mapped[UUID] = mapped_column(ForeignKey("series.id", ondelete="CASCADE"))
    sop_instance_uid: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    attributes: Mapped[dict[str, Any] | None]
    """`hilum.dicom.attributes.Attributes.instance`."""

    __table_args__ = (Index("ix_instances_series_uid", "series_id", "sop_instance_uid"),)
