# SPDX-License-Identifier: Apache-2.0
"""Keep the thresholds that an installation makes, and find the reports that others graded."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "thresholds",
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("finding_from", sa.Float(), nullable=False),
        sa.Column("bins", postgresql.JSONB(), nullable=False),
        sa.Column("alarming_from", sa.String(), nullable=False),
        sa.Column("review_margin", sa.Float(), nullable=False),
        sa.Column("finding_margin", sa.Float(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_thresholds"),
    )
    op.create_table(
        "thresholds_uses",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("chosen_by", sa.String(), nullable=False),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("regrade_by", sa.String(), nullable=True),
        sa.Column("regraded_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_thresholds_uses"),
    )
    op.create_index(
        "ix_reports_grading",
        "reports",
        ["thresholds", "id"],
        postgresql_include=["tenant_id", "grade", "verdict", "lesion_share"],
    )
