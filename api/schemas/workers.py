# SPDX-License-Identifier: Apache-2.0
"""Shapes of workers."""

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, List, Nested, String

from api.schemas.fields import choice, count, number, text
from hilum.workers import WorkerState


class WorkerJSON(Schema):
    """A process that runs jobs."""

    name = text("Machine and process id of the worker.", required=True)
    state = choice(
        WorkerState,
        "`lost` once it missed three heartbeats; `drained` where it takes no more jobs and runs none.",
        required=True,
    )
    job_id = UUID(
        required=True,
        allow_none=True,
        metadata={"description": "What it runs; null between jobs, and of other tenants' jobs."},
    )
    jobs_done = count("Jobs it has run since it started.", required=True)
    device = text("`cpu`, or `cuda:` and a number.", required=True)
    gpu = text("What the GPU is called.", required=True, allow_none=True)
    networks = List(
        String(), required=True, metadata={"description": "Those in memory, `name@version`."}
    )
    version = text("Version of Hilum.", required=True)
    memory_bytes = count("Resident memory of the process.", required=True, allow_none=True)
    gpu_memory_used_bytes = count(
        "Of the whole GPU, by whomever; null where there is none.", required=True, allow_none=True
    )
    gpu_memory_total_bytes = count("Memory of the GPU.", required=True, allow_none=True)
    gpu_utilisation = number(
        "Share of the last moment in which the GPU was at work, 0..1.",
        required=True,
        allow_none=True,
    )
    started_at = AwareDateTime(required=True)
    seen_at = AwareDateTime(required=True, metadata={"description": "Its last heartbeat."})


class WorkersJSON(Schema):
    """The workers."""

    items = List(Nested(WorkerJSON), required=True)
