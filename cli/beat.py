# SPDX-License-Identifier: Apache-2.0
"""`hilum beat`: the upkeep, every few seconds."""

import click

from cli.home import find_settings
from cli.service import check_store, until_told
from cli.terminal import narrate
from db.schema import check_migrated
from db.session import make_engine, make_sessions
from hilum.logs import configure_logs
from hilum.storage import StudyStore
from worker.celery import make_app
from worker.doorbell import Doorbell
from worker.upkeep import keep_up_until


@click.command(short_help="Take back and ring for lost jobs; one for all workers.")
def beat() -> None:
    """Every few seconds, take back the jobs of dead workers, ring for jobs nobody heard of, and sweep.

    One is enough for all workers; a second one, on another machine, does no harm.
    """
    settings = find_settings()
    configure_logs(settings)
    check_store(settings)
    engine = make_engine(settings.database_url)
    check_migrated(engine)
    app = make_app(settings)
    stopping = until_told()
    narrate("Keeping up.")
    store = StudyStore.open(settings.storage_url)
    keep_up_until(stopping, make_sessions(engine), Doorbell(app), store, settings)
    app.close()
    engine.dispose()
