# SPDX-License-Identifier: Apache-2.0
"""What web servers count and time themselves; docs/monitoring.md has the table.

A further number is two lines: its name here, and `.observe()` where it is known. It must have a
label: one without is made when this file is read, which is before its place is (`share`). What the
database knows is not counted here but asked of it (`api.collector`).
"""

import os
from pathlib import Path
from typing import Final

from flask import Request
from prometheus_client import CollectorRegistry, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MultiProcessValue

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Variable that names the folder of shared numbers to prometheus_client."""

COUNTED: Final = CollectorRegistry()
"""Everything below."""

REQUEST_S: Final = Histogram(
    "hilum_http_request_seconds",
    "How long a request took, until its answer began.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    registry=COUNTED,
)


def share(folder: Path) -> None:
    """Keep every number in files of a folder, where the processes beside this one can read it.

    Called before the fork; without it a process tells of itself alone.
    """
    os.environ[FOLDER] = str(folder)
    values.ValueClass = MultiProcessValue()  # type: ignore[no-untyped-call]  # it has no types


def observe_request(request: Request, status: int, seconds: float) -> None:
    """Time a request by its route, of which there are few, not by its path, of which anybody may think."""
    rule = request.url_rule
    # Where no route fits, the method too is whatever the client wrote.
    method, route = (request.method, rule.rule) if rule else ("", "")
    REQUEST_S.labels(method, route, str(status)).observe(seconds)


def counted() -> CollectorRegistry:
    """Return what this process counted, and those beside it with which it shares its numbers."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return COUNTED
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]  # it has no types
    return registry
