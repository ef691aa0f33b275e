# SPDX-License-Identifier: Apache-2.0
"""Keep what readers say of reports."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0013"


def upgrade() -> None:
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
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
    )
    op.create_index("ix_feedback_reader", "feedback", ["report_id", "user_id", "id"])
    op.create_index("ix_feedback_tenant_created", "feedback", ["tenant_id", "created_at"])
