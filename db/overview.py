# SPDX-License-Identifier: Apache-2.0
"""A glance at everything, for a status page."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from db.tables import JobRow, ReportRow
from hilum.jobs import State


def count_jobs(session: Session, tenant_id: UUID | None = None) -> dict[State, int]:
    """Return how many jobs are in each state, of one tenant or of all together."""
    query = select(JobRow.state, func.count()).group_by(JobRow.state)
    if tenant_id is not None:
        query = query.where(JobRow.tenant_id == tenant_id)
    found: dict[State, int] = dict(session.execute(query).all())
    return {state: found.get(state, 0) for state in State}


def newest_jobs(
    session: Session, tenant_id: UUID, limit: int
) -> list[tuple[JobRow, ReportRow | None]]:
    """Return a tenant's newest jobs, each with its report where there is one."""
    query = (
        select(JobRow, ReportRow)
        .outerjoin(ReportRow, ReportRow.job_id == JobRow.id)
        .where(JobRow.tenant_id == tenant_id)
        .order_by(JobRow.created_at.desc(), JobRow.id.desc())
        .limit(limit)
        .options(defer(ReportRow.document))
    )
    return [(job, report) for job, report in session.execute(query)]
