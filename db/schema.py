# SPDX-License-Identifier: Apache-2.0
"""The schema of the database: bring it up to date, or refuse to run on an old one."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from hilum.errors import PendingMigrations

MIGRATIONS = Path(__file__).with_name("migrations")

MIGRATION_LOCK = 4_815_162_342
"""Advisory lock: two processes that start at once must not both migrate. Any fixed number will do."""


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision; nothing happens where it is."""
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def check_migrated(engine: Engine) -> None:
    """Make sure that the schema is the one this code was written for.

    Raises:
        PendingMigrations: it is not.
    """
    found = revision(engine)
    if found != head():
        raise PendingMigrations(
            f"The database schema is at revision {found or 'none'}, expected {head()}."
            " Run `hilum migrate`."
        )


def revision(engine: Engine) -> str | None:
    """Return the revision the database is at; None on an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str:
    """Return the newest revision."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise PendingMigrations(f"There are no migrations in {MIGRATIONS}.")
    return newest


def _config() -> Config:
    # In code, not alembic.ini: an installed package has no folder to look for one in.
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
