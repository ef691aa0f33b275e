# SPDX-License-Identifier: Apache-2.0
"""Keep what readers say of reports, and count many cases by indexes alone."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


WORKERS = """
UPDATE reports SET worker = regexp_replace(jobs.worker, ':[^:]*$', ''),
        device = reports.document -> 'network' ->> 'device'
    FROM jobs WHERE jobs.id = reports.job_id
"""
"""A job knows its worker as `host:pid`; a report knows the host."""


def upgrade() -> None:
    _keep_feedback()
    _keep_workers()
    _cover_jobs()


def _keep_feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("report_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("comment", sa.String(), nullable=True),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("judged_verdict", sa.String(), nullable=False),
        sa.Column("thresholds", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "verdict IS NULL OR NOT agrees", name=op.f("ck_feedback_only_disagreement_corrects")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_feedback_tenant_id_tenants"
        ),
        sa.ForeignKeyConstraint(
            ["report_id"],
            ["reports.id"],
            name="fk_feedback_report_id_reports",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_feedback_user_id_users"),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_reader", "feedback", ["report_id", "user_id", "id"])
    op.create_index("ix_feedback_tenant_created", "feedback", ["tenant_id", "created_at"])


def _keep_workers() -> None:
    op.add_column("reports", sa.Column("worker", sa.String(), nullable=True))
    op.add_column("reports", sa.Column("device", sa.String(), nullable=True))
    op.execute(WORKERS)
    op.drop_index("ix_reports_tenant_created", "reports")
    op.create_index(
        "ix_reports_tenant_created",
        "reports",
        ["tenant_id", "created_at", "id"],
        postgresql_include=[
            "verdict",
            "lesion_share",
            "seconds_per_slice",
            "pipeline",
            "network",
            "worker",
            "device",
        ],
    )


def _cover_jobs() -> None:
    op.drop_index("ix_jobs_served", "jobs")
    op.create_index(
        "ix_jobs_served",
        "jobs",
        ["tenant_id", "started_at"],
        postgresql_include=["queued_at", "priority", "pipeline", "network"],
    )
    op.create_index(
        "ix_jobs_failures",
        "jobs",
        ["tenant_id", "finished_at", "id"],
        postgresql_include=["state", "error_code", "pipeline", "network"],
        postgresql_where=sa.text("state IN ('failed', 'quarantined')"),
    )
