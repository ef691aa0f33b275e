# SPDX-License-Identifier: Apache-2.0
"""The people's door: a Flask API."""

from typing import Final, cast

from apiflask import APIFlask
from flask.json.provider import DefaultJSONProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from api.actions import actions
from api.batches import batches
from api.catalogue import catalogue
from api.dashboard import dashboard
from api.dashboard.door import door
from api.deliveries import deliveries
from api.dicomweb import dicomweb
from api.errors import handle_errors
from api.health import health
from api.jobs import jobs
from api.openapi import describe, docs
from api.pages import pages
from api.parts import EXTENSION, Parts
from api.reports import reports
from api.resumable import resumable
from api.scrape import scrape
from api.streams.views import streams
from api.studies import studies
from api.tracing import follow_requests
from api.webhooks import webhooks
from api.workers import workers
from hilum import __version__
from hilum.settings import Settings

BLUEPRINTS: Final = (
    studies,
    resumable,
    jobs,
    actions,
    batches,
    streams,
    deliveries,
    webhooks,
    reports,
    dicomweb,
    catalogue,
    workers,
    health,
    scrape,
    pages,
    door,
    dashboard,
    docs,
)

LARGEST_BODY: Final = 64 * 1024
"""Bytes of a JSON body or a form; an upload sets its own limit."""


def create_app(settings: Settings) -> APIFlask:
    """Return the web application of an installation."""
    app = APIFlask(__name__, title="Hilum", version=__version__, docs_path=None, json_errors=False)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    cast("DefaultJSONProvider", app.json).sort_keys = False
    app.extensions[EXTENSION] = Parts.assemble(settings)
    follow_requests(app)
    handle_errors(app)
    _trust_proxies(app, settings)
    describe(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    return app


def _trust_proxies(app: APIFlask, settings: Settings) -> None:
    """Believe the proxies in front what they say of address and TLS; nobody else."""
    if (count := settings.proxies) > 0:
        app.wsgi_app = ProxyFix(app.wsgi_app, count, count, count)  # type: ignore[method-assign]  # as Werkzeug's manual has it
