# SPDX-License-Identifier: Apache-2.0
"""Workers over HTTP: who runs jobs, on what, and who was lost."""

from typing import Any

from apiflask import APIBlueprint

from api.auth import by_key, tenant_id
from api.parts import parts
from api.schemas.workers import WorkersJSON
from db.scope import Scope
from db.workers import Seen, known_workers

workers = APIBlueprint("workers", __name__, url_prefix="/v1/workers", tag="Workers")


@workers.get("")
@workers.auth_required(by_key)
@workers.output(WorkersJSON)
def list_all() -> dict[str, Any]:
    """List the workers that live, and those that fell silent within a day.

    They serve all tenants. `job_id` is null where a worker runs a job of another one.
    """
    with parts().sessions.begin() as session:
        return {"items": [_worker(seen) for seen in known_workers(session, Scope.of(tenant_id()))]}


def _worker(seen: Seen) -> dict[str, Any]:
    row = seen.row
    return {
        "name": row.name,
        "state": seen.state,
        "job_id": seen.job_id,
        "jobs_done": row.jobs_done,
        "device": row.device,
        "gpu": row.gpu,
        "networks": row.networks,
        "version": row.version,
        "memory_bytes": row.memory_bytes,
        "gpu_memory_used_bytes": row.gpu_memory_used_bytes,
        "gpu_memory_total_bytes": row.gpu_memory_total_bytes,
        "gpu_utilisation": row.gpu_utilisation,
        "started_at": row.started_at,
        "seen_at": row.seen_at,
    }
