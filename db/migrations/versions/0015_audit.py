# SPDX-License-Identifier: Apache-2.0
"""Keep an audit log whose entries cannot be changed unseen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"

REFUSE = """
CREATE FUNCTION refuse_to_change_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is only appended to, % was asked for.', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_is_appended_to BEFORE UPDATE OR DELETE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_audit();
"""
"""Says no to a slip, and to whoever may write rows but not triggers; the chain shows the rest."""


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("previous_sha256", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    pattern = "text_pattern_ops"
    op.create_index("ix_audit_at", "audit", ["at", "id"])
    op.create_index("ix_audit_tenant", "audit", ["tenant_id", "at", "id"])
    op.create_index("ix_audit_by", "audit", ["by", "at", "id"], postgresql_ops={"by": pattern})
    op.create_index(
        "ix_audit_action", "audit", ["action", "at", "id"], postgresql_ops={"action": pattern}
    )
    op.create_index("ix_audit_subject", "audit", ["subject", "at", "id"])
    op.execute(REFUSE)
