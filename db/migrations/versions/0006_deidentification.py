# SPDX-License-Identifier: Apache-2.0
"""Keep how hospitals have their studies de-identified, and what was done to each."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for table in ("tenants", "studies", "deliveries"):
        op.add_column(table, sa.Column("deidentification", postgresql.JSONB(), nullable=True))
    op.add_column(
        "destinations",
        sa.Column("deidentify", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    # New rows say it themselves.
    op.alter_column("destinations", "deidentify", server_default=None)
