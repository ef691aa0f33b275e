# SPDX-License-Identifier: Apache-2.0
"""How the database is, and whether anybody keeps up with the queue."""

from collections.abc import Iterator

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from db.pauses import list_pauses
from db.schema import check_migrated, head
from db.session import make_sessions
from db.upkeep import LATE_S, since_upkeep_s
from db.workers import known_workers
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


def check_pauses(engine: Engine) -> Iterator[Check]:
    """Look for what people have paused, and for workers that they drained."""
    try:
        with make_sessions(engine).begin() as session:
            pauses = [
                (row.tenant.name if row.tenant else None, row) for row in list_pauses(session)
            ]
            drained = [seen.row.name for seen in known_workers(session) if seen.drain]
    except SQLAlchemyError:
        # As above.
        return
    for tenant, row in pauses:
        whose = f"queue of {tenant}" if tenant else "queue"
        why = f"the {whose} is paused since {row.since:%Y-%m-%d %H:%M} by {row.by}: {row.reason}"
        yield Check("paused", Health.WARN, why)
    if drained:
        yield Check("drained", Health.WARN, f"{', '.join(drained)}: `hilum workers resume`")
