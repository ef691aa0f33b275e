# SPDX-License-Identifier: Apache-2.0
"""The tasks, each a few lines over a plain function."""

import gc
import os
import signal
from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from celery import Celery
from celery.signals import worker_init, worker_process_init

from db.schema import check_migrated
from db.session import make_engine
from hilum.errors import (
    ConfigurationError,
    PendingMigrations,
    StorageUnavailable,
)
from hilum.jobs import TAKE_TURN
from hilum.settings import Settings
from hilum.storage import StudyStore
from worker import gpu
from worker.bench import Bench
from worker.blackbox import BlackBox, read_boxes
from worker.doorbell import Doorbell
from worker.life import follow_worker, followed
from worker.presence import Presence
from worker.run import run_next
from worker.scratch import sweep_scratch

log = structlog.get_logger(__name__)


def add_tasks(
    app: Celery, settings: Settings, open_bench: Callable[[Settings], Bench] = Bench.open
) -> None:
    """Teach an application what Hilum's workers do."""
    # Made by the child that first asks: no connection crosses a fork.
    presence, box = Presence(), BlackBox(settings.spool_dir)
    bench = cache(lambda: followed(open_bench(settings), presence, box))
    bell = Doorbell(app)

    @app.task(name=TAKE_TURN)
    def take_turn() -> None:
        """Run the job whose turn it is; its row holds the outcome."""
        run_next(bench(), bell)

    @worker_init.connect(weak=False)
    def check_schema(**_: Any) -> None:
        refuse_pending_migrations(settings)

    @worker_process_init.connect(weak=False)
    def warm_up(**_: Any) -> None:
        try:
            make_ready(bench, settings)
        except SystemExit as refusal:
            log.error("worker.refused", reason=str(refusal))  # noqa: TRY400 - the sentence says it all
            # Celery would start one such child after another, and hold a message meanwhile.
            os.kill(os.getppid(), signal.SIGTERM)
            raise

    # After the above: what is not ready, or refuses to start, does not appear.
    follow_worker(presence, box, settings, bench)


def refuse_pending_migrations(settings: Settings) -> None:
    """End this process where the database is older than the code.

    Raises:
        SystemExit: it is.
    """
    engine = make_engine(settings.database_url)
    try:
        check_migrated(engine)
    except PendingMigrations as error:
        # Celery logs what its signals raise and goes on; only an exit stops it.
        raise SystemExit(error.message) from error
    finally:
        engine.dispose()


def make_ready(bench: Callable[[], Bench], settings: Settings) -> None:
    """Make a fresh process ready for its first job, or end it where no job could succeed.

    Raises:
        SystemExit: this installation is at fault.
    """
    sweep_scratch(settings.spool_dir)
    read_boxes(settings.spool_dir, bench().sessions)
    try:
        _check_store(bench().store)
        gpu.prepare(bench().networks, settings)
    except ConfigurationError as error:
        # As above: a worker that went on would fail every job it takes.
        raise SystemExit(error.message) from error
    # What is there now stays: without it the collector looks at a million objects again and again.
    gc.collect()
    gc.freeze()


def _check_store(store: StudyStore) -> None:
    try:
        store.check()
    except StorageUnavailable as error:
        # It may be back by the first job; if it is not, the job is tried again.
        log.warning("store.unavailable", reason=error.message)
