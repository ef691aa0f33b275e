# SPDX-License-Identifier: Apache-2.0
"""What Alembic runs: `db.schema.migrate` hands it the connection."""

from alembic import context

from db.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    # `hilum migrate` is one transaction: a step that fails leaves the schema as it was.
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
