# SPDX-License-Identifier: Apache-2.0
"""Pause the queue, drain workers, and find the row of the process that ran a job."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"

PROCESS = "regexp_replace(name, ':[0-9]+$', '') || ':' || pid::text"


def upgrade() -> None:
    op.add_column(
        "workers",
        sa.Column("process", sa.String(), sa.Computed(PROCESS, persisted=True), nullable=False),
    )
    op.create_index("ix_workers_process", "workers", ["process"])
    op.create_index("ix_workers_name", "workers", ["name"])
    op.create_table(
        "pauses",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_pauses_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("id", name="pk_pauses"),
    )
    op.create_index(
        "uq_pauses_tenant",
        "pauses",
        ["tenant_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "drains",
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_drains"),
    )
    op.create_index(
        "ix_jobs_troubled",
        "jobs",
        ["finished_at", "id"],
        postgresql_include=["tenant_id", "state", "error_code", "pipeline", "network"],
        postgresql_where=sa.text("state IN ('failed', 'quarantined')"),
    )
    op.create_index(
        "ix_jobs_done",
        "jobs",
        ["finished_at"],
        postgresql_include=["tenant_id", "worker", "slice_count", "started_at"],
        postgresql_where=sa.text("state = 'succeeded'"),
    )
