# SPDX-License-Identifier: Apache-2.0
"""The tables, one class each. What is asked of them stands in the file of the noun beside this one."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    Enum,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from hilum.destinations import DeliveryState
from hilum.jobs import FINAL_STATES, Priority, State


def now() -> datetime:
    """Return the present instant, in UTC."""
    return datetime.now(UTC)


def _as_text(members: type[StrEnum]) -> Enum:
    # A native enum type would need a migration of its own kind for each new member.
    return Enum(
        members,
        native_enum=False,
        create_constraint=False,
        length=16,
        values_callable=lambda enum: [member.value for member in enum],
    )


class Row(DeclarativeBase):
    """Base of every table."""

    # Constraints with stable names can be changed by a later migration.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        # A sheet that is absent is NULL, not JSON's null.
        dict[str, Any] | None: JSONB(none_as_null=True),
        list[Any]: JSONB,
        State: _as_text(State),
        Priority: _as_text(Priority),
        DeliveryState: _as_text(DeliveryState),
    }


class TenantRow(Row):
    """A hospital."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(unique=True)
    deidentification: Mapped[dict[str, Any] | None]
    """`hilum.dicom.deidentify.Policy`, its key among it; None where nobody asked for any."""
    created_at: Mapped[datetime] = mapped_column(default=now)


class KeyRow(Row):
    """An API key; only its hash is kept, 256 random bits need no slow one."""

    __tablename__ = "keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), index=True
    )
    label: Mapped[str]
    sha256: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)
    revoked_at: Mapped[datetime | None]

    tenant: Mapped[TenantRow] = relationship()


class TitleRow(Row):
    """An application entity title that a hospital's scanners call."""

    __tablename__ = "titles"

    title: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(
        ForeignKey("tenants.id", ondelete="CASCADE"), index=True
    )
    order: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What is asked of each study: pipeline, network, priority, callback_url."""
    calling: Mapped[list[Any]] = mapped_column(default=list)
    """Titles that may call it; any may where it is empty."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    tenant: Mapped[TenantRow] = relationship()


class DestinationRow(Row):
    """An archive that a hospital's results are sent to."""

    __tablename__ = "destinations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    name: Mapped[str]
    address: Mapped[dict[str, Any]]
    """`hilum.destinations.Address`; holds its authorization."""
    contents: Mapped[list[Any]]
    """Which of `hilum.destinations.CONTENTS` it gets."""
    deidentify: Mapped[bool] = mapped_column(default=False)
    """Whether it gets them without the patient, by the policy of its hospital."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    tenant: Mapped[TenantRow] = relationship()

    __table_args__ = (Index("uq_destinations_tenant_name", "tenant_id", "name", unique=True),)


class DeliveryRow(Row):
    """What a job left, on its way to one destination."""

    __tablename__ = "deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    destination_id: Mapped[UUID] = mapped_column(
        ForeignKey("destinations.id", ondelete="CASCADE"), index=True
    )
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    claim: Mapped[UUID | None]
    """Token of the courier that sends it; a late one with another cannot write."""
    began_at: Mapped[datetime] = mapped_column(default=now)
    """When it was asked for; the longer ago, the longer the wait for the next attempt."""
    due_at: Mapped[datetime] = mapped_column(default=now)
    """When it may be taken next; while it is sent, when its courier counts as lost."""
    objects: Mapped[int] = mapped_column(default=0)
    """How many DICOM objects the destination took."""
    deidentification: Mapped[dict[str, Any] | None]
    """What was done to them on their way, by tag; None where they go as they are kept."""
    error: Mapped[str | None]
    """Why the last attempt came to nothing."""
    delivered_at: Mapped[datetime | None]

    job: Mapped["JobRow"] = relationship()
    destination: Mapped[DestinationRow] = relationship()

    __table_args__ = (
        Index("uq_deliveries_job_destination", "job_id", "destination_id", unique=True),
        Index(
            "ix_deliveries_due", "due_at", postgresql_where=text("state IN ('waiting', 'sending')")
        ),
    )


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


class JobRow(Row):
    """One run of a pipeline over a study, and where it stands."""

    __tablename__ = "jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id"))
    study_id: Mapped[UUID] = mapped_column(ForeignKey("studies.id"), index=True)
    pipeline: Mapped[str]
    pipeline_version: Mapped[str]
    """What it was accepted for; the report says what ran."""
    network: Mapped[str]
    priority: Mapped[Priority]
    priority_rank: Mapped[int] = mapped_column(
        SmallInteger,
        Computed(
            "CASE priority WHEN 'stat' THEN 0 WHEN 'routine' THEN 1 ELSE 2 END", persisted=True
        ),
    )
    """The order in which the queue is served, for its index."""
    state: Mapped[State] = mapped_column(default=State.QUEUED)
    idempotency_key: Mapped[str | None]
    callback_url: Mapped[str | None]

    stage: Mapped[str | None]
    stage_done: Mapped[int] = mapped_column(default=0)
    stage_total: Mapped[int] = mapped_column(default=0)
    fraction: Mapped[float] = mapped_column(default=0.0)
    slice_count: Mapped[int] = mapped_column(default=0)
    """Instances of the largest CT series: what the wait is estimated from."""

    attempts: Mapped[int] = mapped_column(default=0)
    claim: Mapped[UUID | None]
    """Token of the worker that holds the job; a late worker with another one cannot write."""
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    worker: Mapped[str | None]

    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    timings_s: Mapped[dict[str, Any]] = mapped_column(default=dict)

    created_at: Mapped[datetime] = mapped_column(default=now)
    rung_at: Mapped[datetime | None]
    """When a message was last sent for it; the upkeep rings for those nobody rang for."""
    retry_at: Mapped[datetime | None]
    """Nobody rings for it before then: what stood in its way needs time to go."""
    absent_since: Mapped[datetime | None]
    """When a worker first lacked its network; empty where none has since its last attempt."""
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    study: Mapped[StudyRow] = relationship()

    __table_args__ = (
        CheckConstraint("fraction BETWEEN 0 AND 1", name="fraction_is_share"),
        Index(
            "uq_jobs_tenant_idempotency_key",
            "tenant_id",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
        # A job that failed or was cancelled does not stand in the way of sending the study again.
        Index(
            "uq_jobs_study_pipeline_version_network",
            "study_id",
            "pipeline",
            "pipeline_version",
            "network",
            unique=True,
            postgresql_where=text("state IN ('queued', 'running', 'succeeded')"),
        ),
        Index("ix_jobs_tenant_created", "tenant_id", "created_at", "id"),
        Index("ix_jobs_tenant_state_created", "tenant_id", "state", "created_at", "id"),
        # The queue in the order in which it is served; finished jobs stay out of it.
        Index(
            "ix_jobs_waiting",
            "priority_rank",
            "created_at",
            "id",
            postgresql_where=text("state = 'queued'"),
        ),
        Index("ix_jobs_leases", "lease_until", postgresql_where=text("state = 'running'")),
        Index(
            "ix_jobs_recent",
            "pipeline",
            "network",
            "finished_at",
            postgresql_where=text("state = 'succeeded'"),
        ),
    )

    @property
    def is_final(self) -> bool:
        """Whether the job has ended."""
        return self.state in FINAL_STATES


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
    document: Mapped[dict[str, Any]]
    """`hilum.findings.Report.to_json()`."""
    created_at: Mapped[datetime] = mapped_column(default=now)

    job: Mapped[JobRow] = relationship()
    study: Mapped[StudyRow] = relationship()
    findings: Mapped[list["FindingRow"]] = relationship(order_by="FindingRow.number")

    __table_args__ = (
        CheckConstraint("lesion_share BETWEEN 0 AND 1", name="lesion_share_is_share"),
        Index("ix_reports_tenant_created", "tenant_id", "created_at", "id"),
        Index("ix_reports_tenant_verdict_created", "tenant_id", "verdict", "created_at", "id"),
        Index("ix_reports_tenant_share", "tenant_id", "lesion_share", "id"),
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


class ArtifactRow(Row):
    """A file that a job wrote."""

    __tablename__ = "artifacts"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    kind: Mapped[str]
    media_type: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(default=now)

    __table_args__ = (Index("uq_artifacts_job_kind", "job_id", "kind", unique=True),)


class JobEventRow(Row):
    """One thing that happened to a job; appended, never changed."""

    __tablename__ = "job_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id"))
    at: Mapped[datetime] = mapped_column(default=now)
    event: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (Index("ix_job_events_job", "job_id", "id"),)
