# SPDX-License-Identifier: Apache-2.0
"""The database of the settings, for commands that ask it directly."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from cli.home import find_settings
from db.schema import check_migrated
from db.session import Sessions, make_engine, make_sessions
from hilum.errors import DatabaseUnavailable


@contextmanager
def engine_at(url: str) -> Iterator[Engine]:
    """Yield an engine for the length of a `with` block.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    engine = make_engine(url)
    try:
        yield engine
    except OperationalError as error:
        # The driver's own words name the host and the user, never the password.
        reason = str(error.orig).splitlines()[0]
        raise DatabaseUnavailable(f"The database does not answer: {reason}") from error
    finally:
        engine.dispose()


@contextmanager
def database() -> Iterator[Sessions]:
    """Yield sessions on the database of the environment, or of the `hilum serve` that runs here.

    Raises:
        MissingSetting: there is neither.
        DatabaseUnavailable: it does not answer.
        PendingMigrations: its schema is older than this code.
    """
    with engine_at(find_settings().database_url) as engine:
        check_migrated(engine)
        yield make_sessions(engine)
