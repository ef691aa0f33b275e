# SPDX-License-Identifier: Apache-2.0
"""Keep when the upkeep was last done, and count notices that have ended by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "upkeep",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_upkeep"),
    )
    op.create_index(
        "ix_notices_ended",
        "notices",
        ["state"],
        postgresql_where=sa.text("state NOT IN ('waiting', 'sending')"),
    )
