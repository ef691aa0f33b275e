# SPDX-License-Identifier: Apache-2.0
"""Keep how long a job was expected to take, to be held against how long it took."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("expected_s", sa.Float(), nullable=True))
