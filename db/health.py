# SPDX-License-Identifier: Apache-2.0
"""How the database is, and whether anybody keeps up with the queue."""

from collections.abc import Iterator

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from db.schema import check_migrated, head
from db.session import make_sessions
from db.upkeep import LATE_S, since_upkeep_s
from hilum.errors import HilumError
from hilum.health import Check, Health


def check_database(engine: Engine) -> Iterator[Check]:
    """Look at the database and its schema."""
    try:
        with engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
        yield Check("database", Health.OK, f"PostgreSQL {version}")
        check_migrated(engine)
        yield Check("migrations", Health.OK, head())
    except SQLAlchemyError as error:
        yield Check("database", Health.FAIL, f"does not answer: {type(error).__name__}")
    except HilumError as error:
        yield Check("migrations", Health.FAIL, error.message)


def check_upkeep(engine: Engine) -> Iterator[Check]:
    """Look for a process that takes jobs back from dead workers."""
    try:
        with make_sessions(engine).begin() as session:
            since_s = since_upkeep_s(session)
    except SQLAlchemyError:
        # The check of the database says why.
        return
    if since_s is None:
        yield Check("upkeep", Health.WARN, "nobody keeps up: start `hilum beat`")
    else:
        health = Health.OK if since_s < LATE_S else Health.WARN
        late = "" if health is Health.OK else ", expected every few seconds: start `hilum beat`"
        yield Check("upkeep", health, f"{since_s:.0f} s ago{late}")
