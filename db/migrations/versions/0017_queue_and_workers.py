# SPDX-License-Identifier: Apache-2.0
"""Find the row of the process that ran a job."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0013"

PROCESS = "regexp_replace(name, ':[0-9]+$', '') || ':' || pid::text"


def upgrade() -> None:
    op.add_column(
        "workers",
        sa.Column("process", sa.String(), sa.Computed(PROCESS, persisted=True), nullable=False),
    )
    op.create_index("ix_workers_process", "workers", ["process"])
