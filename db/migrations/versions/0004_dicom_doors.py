# SPDX-License-Identifier: Apache-2.0
"""Keep what DICOM searches by, the objects that jobs made, and the titles that scanners call."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for table in ("studies", "series", "instances"):
        op.add_column(table, sa.Column("attributes", postgresql.JSONB(), nullable=True))
    op.add_column("studies", sa.Column("patient_id", sa.String(), nullable=True))
    op.add_column("studies", sa.Column("accession_number", sa.String(), nullable=True))
    op.add_column("series", sa.Column("job_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_series_job_id_jobs", "series", "jobs", ["job_id"], ["id"], ondelete="CASCADE"
    )
    op.create_index("ix_series_job_id", "series", ["job_id"])
    op.create_index("ix_series_series_uid", "series", ["series_uid"])
    op.drop_index("ix_studies_tenant_uid", "studies")
    op.create_index(
        "ix_studies_tenant_uid", "studies", ["tenant_id", "study_uid", "created_at", "id"]
    )
    op.create_index("ix_studies_tenant_patient", "studies", ["tenant_id", "patient_id"])
    op.create_index("ix_studies_tenant_accession", "studies", ["tenant_id", "accession_number"])
    op.create_table(
        "titles",
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("order", postgresql.JSONB(), nullable=False),
        sa.Column("calling", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_titles_tenant_id_tenants", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("title", name="pk_titles"),
    )
    op.create_index("ix_titles_tenant_id", "titles", ["tenant_id"])
