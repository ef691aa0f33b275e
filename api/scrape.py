# SPDX-License-Identifier: Apache-2.0
"""Metrics over HTTP, for Prometheus: to whoever shows the token, or to this machine alone."""

from hmac import compare_digest
from typing import Final

from apiflask import APIBlueprint
from flask import Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from api.collector import DatabaseCollector
from api.metrics import counted
from api.parts import parts
from hilum.addresses import is_loopback
from hilum.errors import MissingKey, WrongKey

scrape = APIBlueprint("scrape", __name__, enable_openapi=False)

PASSED_ON: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP")
"""Headers by which a proxy says that somebody else asks."""


@scrape.get("/metrics")
def metrics() -> Response:
    """Tell what the database knows and what the web servers counted."""
    check_caller(parts().settings.metrics_token)
    known = CollectorRegistry(auto_describe=False)
    known.register(DatabaseCollector(parts().sessions, stall_s=parts().settings.stall_s))
    told = generate_latest(known) + generate_latest(counted())
    return Response(told, content_type=CONTENT_TYPE_LATEST)


def check_caller(token: str) -> None:
    """Make sure that whoever asks may know; without a token, that is this machine.

    Raises:
        MissingKey: there is nothing to go by.
        WrongKey: the token is another one.
    """
    shown = request.headers.get("Authorization", "")
    if token and not shown:
        raise MissingKey(
            "Expected an Authorization header `Bearer <HILUM_METRICS_TOKEN>`, found none."
        )
    if token and not compare_digest(shown.encode(), f"Bearer {token}".encode()):
        raise WrongKey("The Authorization header does not hold HILUM_METRICS_TOKEN.")
    if not token and not _is_here():
        raise MissingKey("Metrics are for this machine alone while HILUM_METRICS_TOKEN is not set.")


def _is_here() -> bool:
    if any(header in request.headers for header in PASSED_ON):
        return False
    # A socket in the file system has no address, and whoever is behind it is not known.
    return bool(request.remote_addr) and is_loopback(str(request.remote_addr))
