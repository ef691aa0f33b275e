# SPDX-License-Identifier: Apache-2.0
"""Keep who runs jobs, and count jobs and deliveries by indexes alone."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("gpu", sa.String(), nullable=True),
        sa.Column("networks", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("jobs_done", sa.Integer(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("gpu_memory_used_bytes", sa.BigInteger(), nullable=True),
        sa.Column("gpu_memory_total_bytes", sa.BigInteger(), nullable=True),
        sa.Column("gpu_utilisation", sa.Float(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_workers_job_id_jobs", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_job_id", "workers", ["job_id"])
    op.create_index(
        "ix_workers_seen", "workers", ["seen_at"], postgresql_where=sa.text("stopped_at IS NULL")
    )
    op.create_index(
        "ix_jobs_due",
        "jobs",
        [sa.text("coalesce(retry_at, queued_at)")],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index(
        "ix_jobs_ended",
        "jobs",
        ["state"],
        postgresql_where=sa.text("state NOT IN ('queued', 'running')"),
    )
    op.create_index(
        "ix_job_events_claims",
        "job_events",
        ["at"],
        postgresql_where=sa.text("event = 'running'"),
    )
    op.create_index(
        "ix_deliveries_ended",
        "deliveries",
        ["state"],
        postgresql_where=sa.text("state NOT IN ('waiting', 'sending')"),
    )
