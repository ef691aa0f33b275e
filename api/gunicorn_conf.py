# SPDX-License-Identifier: Apache-2.0
"""Gunicorn's settings; what the command line names goes before them."""

import gc
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from gunicorn.http.unreader import SocketUnreader  # type: ignore[import-untyped]  # it has no types
from prometheus_client.multiprocess import mark_process_dead

from api.gunicorn_log import ServerLog
from api.metrics import FOLDER, share
from api.parts import EXTENSION
from hilum.settings import Settings

worker_class: Final = "gthread"
"""A slow upload holds a thread, not the whole process."""

threads: Final = 16
"""For requests; the streams of `HILUM_STREAMS` get theirs on top, so that they starve nobody."""

timeout: Final = 120
"""Seconds without a heartbeat; the main thread beats while uploads run, so only a hang is killed."""

graceful_timeout: Final = 30
keepalive: Final = 15
"""Seconds a connection is kept: clients poll every one or two."""

limit_request_line: Final = 4094
limit_request_fields: Final = 50
limit_request_field_size: Final = 4094

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - Linux's folder in memory

worker_tmp_dir: Final = str(MEMORY) if MEMORY.is_dir() else None
"""Heartbeats in memory where there is such a folder: a busy disk must not look like a hang."""

control_socket_disable: Final = True
logger_class: Final = ServerLog
accesslog: Final = None
"""The app logs requests itself, with ids and without queries."""

PIECE: Final = 256 * 1024
"""Bytes of a body received at a time."""


def on_starting(server: Any) -> None:
    """Have the workers keep what they count in a fresh folder, before there are any."""
    share(Path(mkdtemp(prefix="hilum-metrics-")))
    on_reload(server)


def on_reload(server: Any) -> None:
    """Give each stream a thread beside those that were asked for."""
    server.cfg.set("threads", server.cfg.threads + Settings.from_environment().streams)


def post_worker_init(worker: Any) -> None:
    """Let streams end when their process is told to, which waits for open requests."""

    def is_ending() -> bool:
        return not worker.alive or worker.ppid != os.getppid()

    worker.wsgi.extensions[EXTENSION].streams.end_when(is_ending)
    # The app stays as it is: without this the collector goes through it in the middle of requests.
    gc.collect()
    gc.freeze()


def child_exit(_server: Any, worker: Any) -> None:
    """Forget what only a living worker can say; what it counted stays counted."""
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # it has no types


def on_exit(_server: Any) -> None:
    """Remove the folder."""
    shutil.rmtree(os.environ[FOLDER], ignore_errors=True)


# Gunicorn's own mebibyte is memory that the system takes back and clears again each time.
SocketUnreader.max_body_chunk = PIECE
