# SPDX-License-Identifier: Apache-2.0
"""What the database knows, for Prometheus: asked for at each scrape, the same of every web server.

Nothing here names a tenant, a study or a job. docs/monitoring.md has the table.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from db.overview import Glance, glance
from db.session import Sessions
from db.tables import WorkerRow
from hilum.jobs import State
from hilum.workers import WorkerState

Values = Mapping[tuple[str, ...], float | None]
"""A value for each set of labels; None is what nobody can tell, and is left out."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One number of the database.

    Attributes:
        name, note: for Prometheus.
        labels: what it is told by.
        read: its values, of a glance at everything and of the seconds after which a queue stalls.
    """

    name: str
    note: str
    labels: tuple[str, ...]
    read: Callable[[Glance, float], Values]


def _one(value: float | None) -> Values:
    return {(): value}


def _unfinished(seen: Glance) -> int:
    return seen.jobs[State.QUEUED] + seen.jobs[State.RUNNING]


def _live(seen: Glance) -> list[WorkerRow]:
    return [worker.row for worker in seen.workers if worker.state is not WorkerState.LOST]


def _of_workers(read: Callable[[WorkerRow], float | None]) -> Callable[[Glance, float], Values]:
    return lambda seen, _: {(row.name,): read(row) for row in _live(seen)}


def _count_workers(seen: Glance, _stall_s: float) -> Values:
    found: dict[tuple[str, ...], float] = {}
    for worker in seen.workers:
        labels = (str(worker.state), worker.row.device)
        found[labels] = found.get(labels, 0) + 1
    return found


UP: Final = Gauge("hilum_database_up", "Whether the database answered.", (), lambda *_: _one(1))

GAUGES: Final = (
    UP,
    Gauge(
        "hilum_jobs",
        "Jobs by state.",
        ("state",),
        lambda seen, _: {(str(state),): jobs for state, jobs in seen.jobs.items()},
    ),
    Gauge(
        "hilum_autoscale_jobs",
        "Jobs that wait or run: what to scale workers by.",
        (),
        lambda seen, _: _one(_unfinished(seen)),
    ),
    Gauge(
        "hilum_jobs_tried_before",
        "Jobs that wait for another attempt or run in one.",
        (),
        lambda seen, _: _one(seen.tried_before),
    ),
    Gauge(
        "hilum_queue_jobs",
        "Jobs that wait, by priority.",
        ("priority",),
        lambda seen, _: {(str(name),): depth.jobs for name, depth in seen.depths.items()},
    ),
    Gauge(
        "hilum_queue_oldest_seconds",
        "Since the oldest job that waits was submitted, by priority; 0 where none waits.",
        ("priority",),
        lambda seen, _: {(str(name),): depth.oldest_s for name, depth in seen.depths.items()},
    ),
    Gauge(
        "hilum_queue_stalled",
        "Whether jobs wait and nobody takes them, 0 or 1.",
        (),
        lambda seen, stall_s: _one(seen.flow.is_stalled(stall_s)),
    ),
    Gauge(
        "hilum_queue_paused",
        "What people have paused: `everything` 0 or 1, and how many hospitals by themselves.",
        ("of",),
        lambda seen, _: {
            ("everything",): seen.flow.paused,
            ("hospitals",): seen.flow.paused_hospitals,
        },
    ),
    Gauge(
        "hilum_last_claim_seconds",
        "Since a worker last took a job; absent before the first.",
        (),
        lambda seen, _: _one(seen.flow.claimed_s),
    ),
    Gauge(
        "hilum_upkeep_seconds",
        "Since `hilum beat` last took back and rang for lost jobs; absent where none has for a day.",
        (),
        lambda seen, _: _one(seen.upkeep_s),
    ),
    Gauge(
        "hilum_deliveries",
        "What goes out to archives and webhooks, by kind and state.",
        ("kind", "state"),
        lambda seen, _: seen.deliveries,
    ),
    Gauge("hilum_workers", "Workers by state and device.", ("state", "device"), _count_workers),
    Gauge(
        "hilum_workers_live",
        "Workers that may take jobs: heard of lately and not asked to stop.",
        (),
        lambda seen, _: _one(seen.flow.workers),
    ),
    Gauge(
        "hilum_worker_memory_bytes",
        "Resident memory of a worker's process.",
        ("worker",),
        _of_workers(lambda row: row.memory_bytes),
    ),
    Gauge(
        "hilum_worker_gpu_memory_used_bytes",
        "Memory in use of a worker's GPU, by whomever.",
        ("worker",),
        _of_workers(lambda row: row.gpu_memory_used_bytes),
    ),
    Gauge(
        "hilum_worker_gpu_memory_total_bytes",
        "Memory of a worker's GPU.",
        ("worker",),
        _of_workers(lambda row: row.gpu_memory_total_bytes),
    ),
    Gauge(
        "hilum_worker_gpu_utilisation",
        "Share of the last moment in which a worker's GPU was at work, 0..1.",
        ("worker",),
        _of_workers(lambda row: row.gpu_utilisation),
    ),
)
"""Every number of the database, in the order in which it is told."""


class DatabaseCollector(Collector):
    """Asks the database at each scrape: some twenty milliseconds with a hundred thousand jobs."""

    def __init__(self, sessions: Sessions, *, stall_s: float) -> None:
        self._sessions, self._stall_s = sessions, stall_s

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every number; without a database, that alone."""
        try:
            with self._sessions.begin() as session:
                seen = glance(session)
        except SQLAlchemyError as error:
            # What the web server counted itself is told all the same.
            log.warning("metrics.unread", error=type(error).__name__)
            yield _family(UP, _one(0))
            return
        for gauge in GAUGES:
            yield _family(gauge, gauge.read(seen, self._stall_s))


def _family(gauge: Gauge, values: Values) -> GaugeMetricFamily:
    family = GaugeMetricFamily(gauge.name, gauge.note, labels=gauge.labels)
    for labels, value in values.items():
        if value is not None:
            family.add_metric(labels, value)
    return family
