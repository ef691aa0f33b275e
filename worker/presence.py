# SPDX-License-Identifier: Apache-2.0
"""The row of a worker process: written by a thread of its own, whatever the process is doing."""

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock, Thread
from typing import Final
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.claims import Claim
from db.workers import Load, Work, Worker, heartbeat, say_goodbye, take_name
from hilum import __version__
from hilum.workers import HEARTBEAT_S, WorkerState
from worker import gpu
from worker.bench import Bench
from worker.machine import Device, resident_bytes

PATIENCE_S: Final = 2.0
"""How long a process that ends waits for its own thread, which may wait for the database."""

PAUSE_S: Final = 0.2
"""Between two times that the row is written, however often the process takes up other work."""

BEAT: Final = b"b"
DRAIN: Final = b"d"
"""What the thread is told through its pipe: to speak at once, and that the worker is to stop."""

log = structlog.get_logger(__name__)


class Presence:
    """Tells the database that this process is here, and what it is doing.

    Made by the parent, which alone hears that the worker is to stop; started by its child.
    """

    def __init__(self) -> None:
        # A pipe, because it crosses the fork, and because a signal handler may write to it.
        self._hears, self._says = os.pipe()
        self._draining = self._stopping = False
        self._work = Work()
        self._lock = Lock()
        self._pulse: Pulse | None = None
        self._thread: Thread | None = None

    def drain(self) -> None:
        """Say that this worker was asked to stop; called in the parent."""
        # A child that is forked from now on is born with it.
        self._draining = True
        os.write(self._says, DRAIN)

    def start(self, bench: Bench) -> None:
        """Appear, and say so again and again; called in the child."""
        self._pulse = Pulse.of(bench)
        self._pulse.appear(self._present())
        self._thread = Thread(target=self._live, args=(self._pulse,), name="presence", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Disappear in order; called in the child, once it runs no more jobs."""
        if self._pulse is None or self._thread is None:
            return
        # Not by the pipe: what this thread does not read any more, the next child's would.
        self._stopping = True
        os.write(self._says, BEAT)
        self._thread.join(PATIENCE_S)
        self._pulse.disappear()

    @contextmanager
    def at_work(self, claim: Claim) -> Iterator[None]:
        """Say for the length of a `with` block that a job runs here."""
        self._change(replace(self._work, state=WorkerState.BUSY, job_id=claim.job_id))
        try:
            yield
        finally:
            self._change(Work(jobs_done=self._work.jobs_done + 1))

    def _change(self, work: Work) -> None:
        with self._lock:
            self._work = work
        os.write(self._says, BEAT)

    def _present(self) -> Work:
        with self._lock:
            work = self._work
        return replace(work, state=WorkerState.DRAINING) if self._draining else work

    def _live(self, pulse: "Pulse") -> None:
        while True:
            heard, _, _ = select.select([self._hears], [], [], HEARTBEAT_S)
            told = os.read(self._hears, select.PIPE_BUF) if heard else b""
            if self._stopping:
                return
            self._draining = self._draining or DRAIN in told
            pulse.beat(self._present())
            # Jobs that take less than this are not worth a row each.
            time.sleep(PAUSE_S)


@dataclass(frozen=True, slots=True)
class Pulse:
    """Writes the row of one process; a database that is away changes nothing for its jobs.

    Attributes:
        bench: its tools.
        device: what it computes on.
        worker: what stays the same about it.
    """

    bench: Bench
    device: Device
    worker: Worker

    @classmethod
    def of(cls, bench: Bench) -> "Pulse":
        """Return the pulse of this process."""
        device = Device.open(bench.settings.device)
        # The parent is the node: it stays while its children come and go.
        name = f"{socket.gethostname()}:{os.getppid()}"
        worker = Worker(uuid4(), name, os.getpid(), device.name, device.gpu, __version__)
        return cls(bench, device, worker)

    def appear(self, work: Work) -> None:
        """Write the row for the first time, in place of whoever had its name."""
        with survived("appear"), self.bench.sessions.begin() as session:
            take_name(session, self.worker)
            heartbeat(session, self.worker, work, self._load())

    def beat(self, work: Work) -> None:
        """Write the row again."""
        load = self._load()
        with survived("beat"), self.bench.sessions.begin() as session:
            heartbeat(session, self.worker, work, load)

    def disappear(self) -> None:
        """Say in the row that the process has ended."""
        with survived("disappear"), self.bench.sessions.begin() as session:
            say_goodbye(session, self.worker.id)

    def _load(self) -> Load:
        networks = self.bench.networks
        used, total = self.device.memory_bytes()
        return Load(
            # The networks of a test may be anything that answers to a name.
            networks=networks.loaded if isinstance(networks, gpu.Networks) else (),
            memory_bytes=resident_bytes(),
            gpu_memory_used_bytes=used,
            gpu_memory_total_bytes=total,
            gpu_utilisation=self.device.utilisation(),
        )


@contextmanager
def survived(doing: str) -> Iterator[None]:
    """Log what the database does to a `with` block, and go on."""
    try:
        yield
    except SQLAlchemyError as error:
        log.warning("presence.unheard", doing=doing, error=type(error).__name__)
