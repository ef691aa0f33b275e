# SPDX-License-Identifier: Apache-2.0
"""The port at which a worker tells what it counted, for Prometheus.

It is the parent's: a child that computes, or was just killed, keeps nobody waiting.
"""

import atexit
import shutil
from collections.abc import Callable, Iterable
from hmac import compare_digest
from pathlib import Path
from tempfile import mkdtemp
from threading import Thread
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.multiprocess import MultiProcessCollector

from hilum.settings import Settings
from worker.metrics import share

EVERY_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - a token guards it
THIS_MACHINE: Final = "127.0.0.1"

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

log = structlog.get_logger(__name__)


def open_port(settings: Settings) -> None:
    """Serve the metrics of this worker and its children, where the settings name a port.

    Without a token it can be reached from this machine alone.

    Raises:
        SystemExit: the port is taken.
    """
    if settings.metrics_port == 0:
        return
    folder = Path(mkdtemp(prefix="hilum-metrics-"))
    # A child that ends runs no such handlers, so the folder lasts as long as the parent.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    share(folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # it has no types
    address = EVERY_ADDRESS if settings.metrics_token else THIS_MACHINE
    app = guarded(make_wsgi_app(registry), settings.metrics_token)
    _serve(app, address, settings.metrics_port)
    log.info("metrics.served", address=address, port=settings.metrics_port)


def guarded(app: App, token: str) -> App:
    """Return an application that answers only to whoever shows a token, where there is one."""
    expected = f"Bearer {token}".encode()

    def guard(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        shown = environ.get("HTTP_AUTHORIZATION", "").encode()
        if not token or compare_digest(shown, expected):
            return app(environ, start)
        start("401 Unauthorized", [("WWW-Authenticate", 'Bearer realm="hilum"')])
        return [b"Expected an Authorization header `Bearer <HILUM_METRICS_TOKEN>`.\n"]

    return guard


def _serve(app: App, address: str, port: int) -> None:
    try:
        server = make_server(address, port, app, ThreadingWSGIServer, Quiet)
    except OSError as error:
        # Celery logs what its signals raise and goes on; only an exit stops it.
        raise SystemExit(
            f"HILUM_METRICS_PORT is {port}, expected a free port: {error.strerror}."
        ) from error
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class Quiet(WSGIRequestHandler):
    """Logs no request: Prometheus asks every few seconds."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the standard library
        """Log nothing."""
