# SPDX-License-Identifier: Apache-2.0
"""Studies over HTTP: sending them, and what is kept of them."""

from typing import Any, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, request, url_for
from marshmallow import RAISE

from api import exports
from api.auth import by_key, tenant_id
from api.exports import csv_response
from api.intake import check_orderable, check_repeat, take_in
from api.jobs import answer_job
from api.lists import StudiesQuery, Wanted
from api.orders import Order, UploadHeaders, UploadOrderJSON
from api.parts import parts
from api.schemas.fields import BINARY, CSV
from api.schemas.jobs import JobHeaders, JobJSON
from api.schemas.studies import StudiesJSON, StudyJSON
from api.uploads import FORM_TYPE, check_media_type, read_past, receive
from db.jobs import find_job_by_idempotency_key
from db.studies import StudyFilter, iterate_studies, list_studies, study_for
from db.tables import JobRow, StudyRow

studies = APIBlueprint("studies", __name__, url_prefix="/v1/studies", tag="Studies")

_ONE_FILE: Final = {"schema": BINARY}
UPLOAD_BODY: Final = {
    "content": {
        "application/zip": _ONE_FILE,
        "application/dicom": _ONE_FILE,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": {
                        "type": "array",
                        "minItems": 1,
                        "items": BINARY,
                        "description": "One zip archive, or DICOM files under any part names.",
                    },
                    "pipeline": {"type": "string"},
                    "network": {"type": "string"},
                    "priority": {"type": "string"},
                    "callback_url": {"type": "string", "format": "uri"},
                    "batch": {"type": "string", "format": "uuid"},
                },
            }
        },
    },
}
"""The body of an upload, for the OpenAPI document."""


@studies.post("")
@studies.auth_required(by_key)
@studies.input(UploadOrderJSON, location="query", arg_name="query", unknown=RAISE)
@studies.input(UploadHeaders, location="headers", arg_name="headers")
@studies.output(JobJSON, status_code=202, headers=JobHeaders)
@studies.doc(
    extensions={"requestBody": UPLOAD_BODY},
    responses={
        400: "The bytes did not arrive as they were sent.",
        413: "The upload is too large.",
        404: "There is no such batch.",
        409: "The batch is closed.",
        415: "The body is of a kind that is not read.",
        429: "The hospital has as much as it may have.",
        507: "The disk is nearly full.",
    },
)
def send(query: dict[str, Any], headers: dict[str, Any]) -> tuple[Any, int, dict[str, str]]:
    """Send a study.

    The body is a zip archive, one DICOM file, or a form with either; it is written to disk as it
    arrives. The answer is the job, at once. The same content, or the same `Idempotency-Key`, is
    answered with the same job, and always with 202. Fields of a form go before those of the query.
    """
    check_media_type()
    key = headers.get("idempotency_key")
    job = _submitted_before(query, key) or _submit(query, key)
    return answer_job(job, 202)


def _submitted_before(query: dict[str, Any], key: str | None) -> JobRow | None:
    """Return the job of an idempotency key seen before; the body is read and not kept."""
    if key is None:
        return None
    with parts().sessions.begin() as session:
        job = find_job_by_idempotency_key(session, tenant_id(), key)
    if job is None:
        return None
    with parts().spool.folder() as folder:
        fields = read_past(folder, parts().settings)
    check_repeat(job, _order({**query, **fields}, key))
    return job


def _submit(query: dict[str, Any], key: str | None) -> JobRow:
    # What is wrong with the query is said before a gigabyte is sent; a form may yet name a network.
    asked = _order(query, key)
    if asked.network_asked is not None or request.mimetype != FORM_TYPE:
        check_orderable(asked, parts())
    with parts().spool.folder() as folder:
        upload = receive(folder, parts().settings)
        order = _order({**query, **upload.fields}, key)
        # Nothing is stored for a job that cannot be.
        check_orderable(order, parts())
        return take_in(upload.files, order, parts())


def _order(fields: dict[str, Any], key: str | None) -> Order:
    return Order.of(tenant_id(), fields, idempotency_key=key, settings=parts().settings)


@studies.get("")
@studies.auth_required(by_key)
@studies.input(StudiesQuery, location="query", arg_name="query", unknown=None)
@studies.output(StudiesJSON)
@studies.doc(responses=CSV)
def list_all(query: dict[str, Any]) -> dict[str, Any] | Response:
    """List studies."""
    wanted = Wanted.of(StudyFilter, query)
    if wanted.as_csv:
        rows = iterate_studies(parts().sessions, tenant_id(), wanted.chosen, wanted.page.sort)
        return csv_response("studies", exports.STUDIES, rows)
    with parts().sessions.begin() as session:
        listing = list_studies(session, tenant_id(), wanted.chosen, wanted.page)
    return {"items": [_study(row) for row in listing.rows], "next_cursor": listing.next_cursor}


@studies.get("/<uuid:study_id>")
@studies.auth_required(by_key)
@studies.output(StudyJSON)
def show(study_id: UUID) -> dict[str, Any]:
    """Show what is kept of a study."""
    with parts().sessions.begin() as session:
        row = study_for(session, tenant_id(), study_id)
        return _study(row) | {"deidentification": row.deidentification}


def _study(row: StudyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "study_uid": row.study_uid,
        "study_date": row.study_date,
        "content_sha256": row.content_sha256,
        "instance_count": row.instance_count,
        "size_bytes": row.size_bytes,
        "created_at": row.created_at,
        "series": row.series,
        "links": {
            "self": url_for("studies.show", study_id=row.id),
            "jobs": url_for("jobs.list_all", study_id=row.id),
        },
    }
