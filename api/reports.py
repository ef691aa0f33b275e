# SPDX-License-Identifier: Apache-2.0
"""Reports over HTTP: what was found, as JSON, as masks and as pictures."""

from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, send_file, url_for

from api import exports
from api.auth import by_key, by_key_or_person, caller, tenant_for, tenant_id
from api.exports import csv_response
from api.kept import kept_files, open_kept
from api.lists import ReportsQuery, Wanted
from api.parts import parts
from api.schemas.actions import ThresholdsJSON
from api.schemas.fields import CSV, Responses, file_responses
from api.schemas.reports import ReportJSON, ReportsJSON
from api.volume import NIFTI, volume_response
from db.regrades import regrade_report
from db.reports import (
    ReportFilter,
    artifact_for,
    iterate_reports,
    list_reports,
    report_for,
)
from db.studies import instance_by_uid, keys_by_uid
from db.tables import ArtifactRow, InstanceRow, ReportRow
from db.thresholds import thresholds_named
from hilum.dicom.read import read_slice
from hilum.errors import UnknownSlice
from hilum.masks import read_mask
from hilum.people import Permission
from hilum.render import overlay_png

reports = APIBlueprint("reports", __name__, url_prefix="/v1/reports", tag="Reports")

PNG: Final = "image/png"
DICOM: Final = "application/dicom"
MASKS: Final = ("lesions", "lungs")

NOT_READY: Final = "The job has not ended; ask for it first."
GONE: Final[Responses] = {410: {"description": "The file is no longer stored."}}


@reports.get("")
@reports.auth_required(by_key)
@reports.input(ReportsQuery, location="query", arg_name="query", unknown=None)
@reports.output(ReportsJSON)
@reports.doc(responses=CSV)
def list_all(query: dict[str, Any]) -> dict[str, Any] | Response:
    """List reports."""
    wanted = Wanted.of(ReportFilter, query)
    if wanted.as_csv:
        rows = iterate_reports(parts().sessions, tenant_id(), wanted.chosen, wanted.page.sort)
        return csv_response("reports", exports.REPORTS, rows)
    with parts().sessions.begin() as session:
        listing = list_reports(session, tenant_id(), wanted.chosen, wanted.page)
    return {"items": [_listed(row) for row in listing.rows], "next_cursor": listing.next_cursor}


@reports.get("/<uuid:job_id>")
@reports.auth_required(by_key_or_person)
@reports.output(ReportJSON)
@reports.doc(responses={409: NOT_READY})
def show(job_id: UUID) -> dict[str, Any]:
    """Show what a job found."""
    with parts().sessions.begin() as session:
        row = report_for(session, tenant_for(job_id), job_id)
    return _report(row)


@reports.post("/<uuid:job_id>/regrade")
@reports.auth_required(by_key)
@reports.input(ThresholdsJSON, location="json", arg_name="asked")
@reports.output(ReportJSON)
@reports.doc(
    responses={
        400: "The body is no JSON.",
        409: NOT_READY,
        413: "The body is too large.",
    }
)
def regrade(job_id: UUID, asked: dict[str, str]) -> dict[str, Any]:
    """Grade a report by other thresholds, without the study.

    One that these thresholds graded stays as it is. What was sent to archives is not sent again.
    """
    with parts().sessions.begin() as session:
        thresholds = thresholds_named(session, asked.get("thresholds"))
        return _report(regrade_report(session, tenant_id(), job_id, thresholds, by=caller()))


def _report(row: ReportRow) -> dict[str, Any]:
    return row.document | {
        "job_id": row.job_id,
        "study_id": row.study_id,
        "created_at": row.created_at,
        "links": _links(row),
    }


@reports.get("/<uuid:job_id>/masks/<any(lesions,lungs):kind>.nii.gz")
@reports.auth_required(by_key_or_person)
@reports.doc(responses=file_responses(NIFTI, NOT_READY) | GONE)
def mask(job_id: UUID, kind: str) -> Response:
    """Download a mask as NIfTI: lesion classes, or the right (1) and left (2) lung."""
    with parts().sessions.begin() as session:
        artifact = artifact_for(session, tenant_for(job_id), job_id, kind)
    return _download(artifact, NIFTI, f"{job_id}-{kind}.nii.gz")


@reports.get("/<uuid:job_id>/volume.nii.gz")
@reports.auth_required(by_key_or_person)
@reports.doc(responses=file_responses(NIFTI, NOT_READY) | GONE)
def volume(job_id: UUID) -> Response:
    """Download the series that a report was made of as NIfTI, on the grid of its masks."""
    with parts().sessions.begin() as session:
        row = report_for(session, tenant_for(job_id), job_id)
        grid = artifact_for(session, row.tenant_id, job_id, "lungs")
        keys = keys_by_uid(session, row.study_id)
    response = volume_response(row, grid, keys)
    response.headers.set("Content-Disposition", "attachment", filename=f"{job_id}.nii.gz")
    return response


@reports.get("/<uuid:job_id>/<any(segmentation,measurements,'key-image',document):kind>.dcm")
@reports.auth_required(by_key_or_person)
@reports.doc(responses=file_responses(DICOM, NOT_READY) | GONE)
def dicom(job_id: UUID, kind: str) -> Response:
    """Download a result as DICOM: segments, measurements, key image, or the report on paper.

    These name the patient, whom not every role may know.
    """
    hospital = tenant_for(job_id, needs=Permission.KNOW_PATIENTS)
    with parts().sessions.begin() as session:
        artifact = artifact_for(session, hospital, job_id, kind)
    return _download(artifact, DICOM, f"{job_id}-{kind}.dcm")


@reports.get("/<uuid:job_id>/<any(montage,thumbnail):kind>.png")
@reports.auth_required(by_key_or_person)
@reports.doc(responses=file_responses(PNG, NOT_READY) | GONE)
def picture(job_id: UUID, kind: str) -> Response:
    """Show slices of a study with their masks, side by side; or one of them, small, for a list."""
    with parts().sessions.begin() as session:
        artifact = artifact_for(session, tenant_for(job_id), job_id, kind)
    return _download(artifact, PNG, None)


@reports.get("/<uuid:job_id>/slices/<int:index>.png")
@reports.auth_required(by_key_or_person)
@reports.doc(responses=file_responses(PNG, NOT_READY) | GONE)
def overlay(job_id: UUID, index: int) -> Response:
    """Show one slice with its masks; slices count from 0 along z."""
    with parts().sessions.begin() as session:
        row = report_for(session, tenant_for(job_id), job_id)
        masks = artifact_for(session, row.tenant_id, job_id, "masks")
        one = _slice(row, index)
        instance = instance_by_uid(session, row.study_id, one["instance_uid"])
    if instance is None:
        raise UnknownSlice(f"Slice {index} of job {job_id} is not among the files of its study.")
    # Reports of before there were enhanced series name no frame.
    return Response(_paint(instance, one.get("frame_number", 1), masks, index), mimetype=PNG)


def _slice(row: ReportRow, index: int) -> dict[str, Any]:
    slices: list[dict[str, Any]] = row.document["slices"]
    if index >= len(slices):
        raise UnknownSlice(f"There is no slice {index}; there are 0 to {len(slices) - 1}.")
    return slices[index]


def _paint(instance: InstanceRow, frame_number: int, masks: ArtifactRow, index: int) -> bytes:
    with open_kept(masks.key) as stream:
        lungs, lesions = read_mask(stream, index)
    with parts().spool.folder() as scratch:
        [path] = kept_files([instance.key], scratch)
        voxels, pixel_mm = read_slice(path, frame_number - 1)
    return overlay_png(voxels, lungs, lesions, pixel_mm=pixel_mm)


def _download(artifact: ArtifactRow, media_type: str, name: str | None) -> Response:
    response = send_file(
        open_kept(artifact.key),
        mimetype=media_type,
        as_attachment=name is not None,
        download_name=name,
        etag=artifact.sha256,
    )
    response.content_length = artifact.size_bytes
    return response


def _listed(row: ReportRow) -> dict[str, Any]:
    return {
        "job_id": row.job_id,
        "study_id": row.study_id,
        "study_uid": row.study.study_uid,
        "study_date": row.study.study_date,
        "pipeline": row.pipeline,
        "pipeline_version": row.pipeline_version,
        "network": row.network,
        "verdict": row.verdict,
        "grade": row.grade,
        "review": row.review,
        "lesion_share": row.lesion_share,
        "lesion_ml": row.lesion_ml,
        "lung_ml": row.lung_ml,
        "seconds_per_slice": row.seconds_per_slice,
        "thresholds": row.thresholds,
        "created_at": row.created_at,
        "links": _links(row),
    }


def _links(row: ReportRow) -> dict[str, str]:
    report = url_for("reports.show", job_id=row.job_id)
    return {
        "self": report,
        "job": url_for("jobs.show", job_id=row.job_id),
        "study": url_for("studies.show", study_id=row.study_id),
        "montage": f"{report}/montage.png",
        "thumbnail": f"{report}/thumbnail.png",
        "volume": f"{report}/volume.nii.gz",
        "lesions": f"{report}/masks/lesions.nii.gz",
        "lungs": f"{report}/masks/lungs.nii.gz",
        "segmentation": f"{report}/segmentation.dcm",
        "measurements": f"{report}/measurements.dcm",
        "key_image": f"{report}/key-image.dcm",
        "document": f"{report}/document.dcm",
        "slices": f"{report}/slices/{{index}}.png",
    }
