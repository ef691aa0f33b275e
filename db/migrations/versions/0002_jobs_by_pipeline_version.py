# SPDX-License-Identifier: Apache-2.0
"""Let a newer pipeline run a study again, and remember since when a network has been absent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FIRST_VERSION = "1.0.0"
"""Of the pipeline, where a job has no report that says which ran."""


def upgrade() -> None:
    op.add_column("jobs", sa.Column("absent_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("jobs", sa.Column("pipeline_version", sa.String(), nullable=True))
    op.execute(
        sa.text(
            "UPDATE jobs SET pipeline_version = coalesce("
            "(SELECT pipeline_version FROM reports WHERE reports.job_id = jobs.id), :first)"
        ).bindparams(first=FIRST_VERSION)
    )
    op.alter_column("jobs", "pipeline_version", nullable=False)
    op.drop_index("uq_jobs_study_pipeline_network", table_name="jobs")
    op.create_index(
        "uq_jobs_study_pipeline_version_network",
        "jobs",
        ["study_id", "pipeline", "pipeline_version", "network"],
        unique=True,
        postgresql_where=sa.text("state IN ('queued', 'running', 'succeeded')"),
    )
