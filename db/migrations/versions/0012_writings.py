# SPDX-License-Identifier: Apache-2.0
"""Note files before they are written, so that those of a writer that died are found."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "writings",
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("abandoned_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("prefix", name="pk_writings"),
    )
