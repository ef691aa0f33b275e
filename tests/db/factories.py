"""Rows and reports with known answers, made through the very functions that make real ones."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from db.claims import Artifact, Claim, claim_job, finish_job
from db.jobs import submit_job
from db.studies import add_study
from db.tables import JobRow, StudyRow
from db.workers import Load, Work, Worker, heartbeat
from hilum.catalogue import CT_LESIONS
from hilum.dicom.attributes import Attributes, tag_of
from hilum.findings import Finding, LungBurden, NetworkUse, Report, SliceBurden
from hilum.grading import MOSMED, Thresholds, assess
from hilum.jobs import Priority
from hilum.storage import StoredFile
from hilum.study import Instance, Series, Study

STUDY_UID = "1.2.840.1"
LUNG_ML = 4000.0


def make_study(study_uid: str = STUDY_UID, *, instances: int = 2, date: str = "20260102") -> Study:
    uid = f"{study_uid}.1"
    headers = tuple(make_instance(f"{uid}.{number}") for number in range(instances))
    series = Series(uid, "CT", "Lung 5.0", "B70f", ("ORIGINAL", "PRIMARY", "AXIAL"), headers)
    return Study(study_uid, date, (series,))


def make_instance(uid: str) -> Instance:
    return Instance(
        sop_instance_uid=uid,
        path=Path("instance.dcm"),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        rows=512,
        columns=512,
        pixel_spacing_mm=(0.7, 0.7),
        orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        position_mm=(0.0, 0.0, 0.0),
        has_rescale=True,
    )


def keep_study(
    session: Session,
    tenant_id: UUID,
    study: Study | None = None,
    *,
    content: str | None = None,
    attributes: Mapping[str, Attributes] | None = None,
) -> StudyRow:
    study = study or make_study()
    study_id, content = uuid4(), content or uuid4().hex
    uids = [instance.sop_instance_uid for one in study.series for instance in one.instances]
    return add_study(
        session,
        study_id=study_id,
        tenant_id=tenant_id,
        study=study,
        files={uid: StoredFile(f"{tenant_id}/{study_id}/{uid}.dcm", "ab" * 32, 10) for uid in uids},
        content_sha256=content,
        attributes=attributes,
    )


def said(**values: Any) -> dict[str, Any]:
    return {tag_of(keyword): {"vr": "LO", "Value": [value]} for keyword, value in values.items()}


def study_of(
    session: Session,
    tenant_id: UUID,
    *,
    name: str = "Smith^John",
    number: str = "PAT-4711",
    accession: str = "ACC/2026-17",
    maker: str = "SIEMENS",
    model: str = "SOMATOM Force",
    uid: str = "1.2.840.1",
    dated: str = "20260102",
) -> StudyRow:
    """Keep a study that says who its patient is, and what it was made by."""
    study = make_study(uid, date=dated)
    attributes = Attributes(
        said(
            PatientName={"Alphabetic": name, "Ideographic": "山田^太郎"},
            PatientID=number,
            AccessionNumber=accession,
        ),
        said(Manufacturer=maker, ManufacturerModelName=model),
        {},
    )
    uids = [instance.sop_instance_uid for one in study.series for instance in one.instances]
    return keep_study(session, tenant_id, study, attributes=dict.fromkeys(uids, attributes))


def queue_job(session: Session, tenant_id: UUID, **changes: Any) -> JobRow:
    """Queue a job; of a study of its own unless `study_id` is given."""
    values: dict[str, Any] = {
        "pipeline": "ct-lesions",
        "network": "resnet50",
        "priority": Priority.ROUTINE,
        "slice_count": 100,
        "idempotency_key": None,
        "callback_url": None,
    } | changes
    if "study_id" not in values:
        values["study_id"] = keep_study(session, tenant_id).id
    job, _ = submit_job(session, tenant_id=tenant_id, **values)
    return job


def claim(session: Session, job: JobRow, *, worker: str = "gpu-1", lease_s: int = 60) -> Claim:
    taken = claim_job(session, job.id, worker=worker, lease_s=lease_s, max_attempts=3)
    assert taken is not None
    return taken


def have_worker(session: Session) -> None:
    """Have a worker that lives, without which nobody knows when a job is done."""
    worker = Worker(uuid4(), f"gpu-{uuid4()}:1", 2, "cuda:0", "NVIDIA A30", "0.1.0")
    heartbeat(session, worker, Work(), Load())


def make_report(
    share: float = 0.1,
    *,
    doubts: tuple[str, ...] = (),
    findings: int = 1,
    thresholds: Thresholds = MOSMED,
) -> Report:
    lung = LungBurden(LUNG_ML / 2, LUNG_ML / 2 * share, {"consolidation": LUNG_ML / 2 * share})
    total = LungBurden(LUNG_ML, LUNG_ML * share, {"consolidation": LUNG_ML * share})
    assessment = assess(
        share=share, share_right=share, share_left=share, doubts=doubts, thresholds=thresholds
    )
    return Report(
        study_uid=STUDY_UID,
        series_uid=f"{STUDY_UID}.1",
        series_reason="It is the only CT series.",
        series_passed=(),
        pipeline=CT_LESIONS.name,
        pipeline_version=CT_LESIONS.version,
        code_version="0.1.0",
        network=NetworkUse("maskrcnn-resnet50", "1", "cd" * 32, 0.5, "cpu"),
        right=lung,
        left=lung,
        total=total,
        assessment=assessment,
        findings=tuple(make_finding(number + 1) for number in range(findings)),
        slices=tuple(SliceBurden(z, f"{STUDY_UID}.1.{z}", 90.0, 9.0) for z in range(2)),
        spacing_mm=(5.0, 0.7, 0.7),
        warnings=(),
        timings_s={"reading": 1.0, "slices": 3.0},
        intended_use="For research.",
    )


def make_finding(number: int) -> Finding:
    return Finding(
        number=number,
        label="consolidation",
        lung="right",
        volume_ml=12.5,
        lung_share=0.003,
        mean_hu=-120.0,
        first_slice=3,
        last_slice=5,
        box=((3, 10, 10), (6, 40, 40)),
        score=0.9,
    )


def make_artifact(job: JobRow, kind: str = "masks") -> Artifact:
    return Artifact(kind, "application/zip", StoredFile(f"{job.id}/{uuid4()}", "ef" * 32, 7))


def finished_job(session: Session, tenant_id: UUID, share: float = 0.1, **changes: Any) -> JobRow:
    job = queue_job(session, tenant_id, **changes)
    finish_job(session, claim(session, job), make_report(share), [make_artifact(job)])
    session.refresh(job)
    return job
