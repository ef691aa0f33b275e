# SPDX-License-Identifier: Apache-2.0
"""Keep with each series what the quality gate found of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("series", sa.Column("sheet", postgresql.JSONB(), nullable=True))
