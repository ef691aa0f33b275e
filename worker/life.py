# SPDX-License-Identifier: Apache-2.0
"""A worker from its start to its end, as others see it: its row, and what it counts."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, Final

from celery.signals import worker_init, worker_process_init, worker_process_shutdown, worker_ready

from db.claims import Claim
from hilum.settings import Settings
from worker.bench import Bench
from worker.blackbox import BlackBox
from worker.exposition import open_port
from worker.metrics import measured
from worker.presence import Presence

STOPPING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
"""Signals that ask a worker to stop."""


def follow_worker(
    presence: Presence, box: BlackBox, settings: Settings, bench: Callable[[], Bench]
) -> None:
    """Have the row of this worker, and its metrics, follow what Celery does with it."""

    @worker_init.connect(weak=False)
    def serve_metrics(**_: Any) -> None:
        open_port(settings)

    @worker_ready.connect(weak=False)
    def hear_of_the_end(**_: Any) -> None:
        for number in STOPPING:
            _hear_first(number, presence.drain)

    @worker_process_init.connect(weak=False)
    def appear(**_: Any) -> None:
        box.open()
        presence.start(bench())

    @worker_process_shutdown.connect(weak=False)
    def disappear(**_: Any) -> None:
        presence.stop()


def followed(bench: Bench, presence: Presence, box: BlackBox) -> Bench:
    """Return a bench whose jobs are seen at work, counted and timed."""

    @contextmanager
    def at_work(claim: Claim) -> Iterator[None]:
        with box.recording(claim), presence.at_work(claim), measured(claim, bench.sessions):
            yield

    return replace(bench, at_work=at_work)


def _hear_first(number: signal.Signals, tell: Callable[[], None]) -> None:
    """Have `tell` called before whatever a signal does in this process.

    Celery tells of a stop by a signal of its own, but only once the job at hand had its time.
    """
    before, parent = signal.getsignal(number), os.getpid()

    def hear(received: int, frame: FrameType | None) -> None:
        # Children inherit handlers.
        if os.getpid() == parent:
            tell()
        if callable(before):
            before(received, frame)

    signal.signal(number, hear)
