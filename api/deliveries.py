# SPDX-License-Identifier: Apache-2.0
"""Deliveries over HTTP: which archives have what a job left, and sending it there again."""

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint

from api.auth import by_key, tenant_id
from api.parts import parts
from api.schemas.deliveries import DeliveriesJSON, SendAgainJSON
from db.deliveries import list_deliveries, send_again
from db.jobs import job_for
from db.tables import DeliveryRow

deliveries = APIBlueprint("deliveries", __name__, url_prefix="/v1/jobs", tag="Deliveries")


@deliveries.get("/<uuid:job_id>/deliveries")
@deliveries.auth_required(by_key)
@deliveries.output(DeliveriesJSON)
def of_job(job_id: UUID) -> dict[str, Any]:
    """List where a job's results were sent, by the names of the archives."""
    with parts().sessions.begin() as session:
        job = job_for(session, tenant_id(), job_id)
        return {"items": [_delivery(row) for row in list_deliveries(session, job.id)]}


@deliveries.post("/<uuid:job_id>/deliveries")
@deliveries.auth_required(by_key)
@deliveries.input(SendAgainJSON, location="json", arg_name="wanted")
@deliveries.output(DeliveriesJSON, status_code=202)
@deliveries.doc(
    responses={
        400: "The body is no JSON.",
        404: "There is no such job or destination.",
        409: "The job has not succeeded.",
        413: "The body is too large.",
    }
)
def again(job_id: UUID, wanted: dict[str, Any]) -> dict[str, Any]:
    """Send a job's results again: to one archive, or to all of the hospital."""
    with parts().sessions.begin() as session:
        job = job_for(session, tenant_id(), job_id)
        send_again(session, job, wanted.get("destination"))
    with parts().sessions.begin() as session:
        return {"items": [_delivery(row) for row in list_deliveries(session, job_id)]}


def _delivery(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "destination": row.destination.name,
        "state": row.state,
        "attempts": row.attempts,
        "objects": row.objects,
        "deidentification": row.deidentification,
        "error": row.error,
        "due_at": row.next_at,
        "delivered_at": row.delivered_at,
    }
