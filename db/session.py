# SPDX-License-Identifier: Apache-2.0
"""The engine, and the sessions every query of this room takes first."""

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.orm import Session, sessionmaker

CONNECT_LIMIT_S = 10
"""A database that does not answer within this is down, and the caller should hear so."""

Sessions = sessionmaker[Session]
"""Makes sessions: `with sessions.begin() as session` is one transaction."""


def make_engine(url: str) -> Engine:
    """Return an engine for a `postgresql://` or `postgresql+psycopg://` URL."""
    address = make_url(url)
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    return create_engine(
        address,
        # A connection that died with the server is found before a query is lost on it.
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_LIMIT_S},
        # The message of a failed query goes to a log, its values stay here.
        hide_parameters=True,
    )


def make_sessions(engine: Engine) -> Sessions:
    """Return a maker of sessions whose rows stay readable after the commit."""
    return sessionmaker(engine, expire_on_commit=False)
