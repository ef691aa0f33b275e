# SPDX-License-Identifier: Apache-2.0
"""What the views work with, made once a process from the settings."""

from dataclasses import dataclass
from typing import Final, Self

from flask import current_app
from sqlalchemy import Engine

from api.inbox import Inbox
from api.keys import KnownKeys
from api.queue import Bell
from api.room import Room
from api.spool import Spool
from api.streams.hub import Hub
from api.turnstile import Turnstile
from db.session import Sessions, make_engine, make_sessions
from hilum.settings import Settings
from hilum.storage import StudyStore

EXTENSION: Final = "hilum"
"""Where Flask keeps the parts of an app."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The collaborators of every view.

    Attributes:
        settings: of this installation.
        engine, sessions: the database.
        store: studies and results.
        spool: where uploads lie while they are read.
        inbox: where instances wait for the rest of their study.
        bell: tells the workers.
        keys: who called a moment ago.
        turnstile: counts the requests of hospitals.
        room: tells where hospitals have none left.
        streams: tells those who listen what happens.
    """

    settings: Settings
    engine: Engine
    sessions: Sessions
    store: StudyStore
    spool: Spool
    inbox: Inbox
    bell: Bell
    keys: KnownKeys
    turnstile: Turnstile
    room: Room
    streams: Hub

    @classmethod
    def assemble(cls, settings: Settings) -> Self:
        """Make every part; nothing is connected to yet."""
        engine = make_engine(settings.database_url)
        sessions = make_sessions(engine)
        return cls(
            settings=settings,
            engine=engine,
            sessions=sessions,
            store=StudyStore.open(settings.storage_url, min_free_mb=settings.min_free_mb),
            spool=Spool.open(settings.spool_dir),
            inbox=Inbox.open(settings),
            bell=Bell(settings.redis_url),
            keys=KnownKeys(),
            turnstile=Turnstile(settings.redis_url),
            room=Room(sessions, max_queue_age_s=settings.max_queue_age_s),
            streams=Hub(sessions, most=settings.streams),
        )

    def close(self) -> None:
        """Let go of streams, connections and the spool."""
        self.streams.stop()
        self.spool.close()
        self.bell.close()
        self.turnstile.close()
        self.engine.dispose()


def parts() -> Parts:
    """Return the parts of the app that serves this request."""
    found: Parts = current_app.extensions[EXTENSION]
    return found
