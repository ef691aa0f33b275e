# SPDX-License-Identifier: Apache-2.0
"""Let the database say whose turn it is, and know which request a job came of."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("job_turns")))
    op.add_column("jobs", sa.Column("request_id", sa.String(), nullable=True))
    op.add_column("jobs", sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE jobs SET queued_at = created_at")
    op.alter_column("jobs", "queued_at", nullable=False)
    op.drop_column("jobs", "rung_at")
    op.drop_index("ix_jobs_waiting", "jobs")
    op.create_index(
        "ix_jobs_waiting",
        "jobs",
        ["tenant_id", "priority_rank", "queued_at", "id"],
        postgresql_include=["slice_count"],
        postgresql_where=sa.text("state = 'queued'"),
    )
    op.create_index("ix_jobs_served", "jobs", ["tenant_id", "started_at"])
