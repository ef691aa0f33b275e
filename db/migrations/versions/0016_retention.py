# SPDX-License-Identifier: Apache-2.0
"""Keep studies for as long as their hospital says, and remember what was purged."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("tenants", sa.Column("keep_days", sa.Integer(), nullable=True))
    op.create_table(
        "purges",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("studies", sa.Integer(), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_purges_tenant_id_tenants"),
        sa.PrimaryKeyConstraint("id", name="pk_purges"),
    )
    op.create_index("ix_purges_tenant_at", "purges", ["tenant_id", "at", "id"])
    op.create_table(
        "purged",
        sa.Column("purge_id", sa.Uuid(), nullable=False),
        sa.Column("study_id", sa.Uuid(), nullable=False),
        sa.Column("content_sha256", sa.String(), nullable=False),
        sa.Column("folder_sha256", sa.String(), nullable=False),
        sa.Column("job_ids", JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["purge_id"], ["purges.id"], name="fk_purged_purge_id_purges", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("purge_id", "study_id", name="pk_purged"),
    )
