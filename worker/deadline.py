# SPDX-License-Identifier: Apache-2.0
"""How long a job may run: at its limit it is told to end, and killed where it does not.

A message does not say which job it will run, so Celery, which knows one limit for all, cannot keep
the limit of a pipeline. Celery's own limits come later and are for what this file cannot see: a
native library that never lets go of the interpreter, so that no thread of Python runs.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from threading import Event, Thread, current_thread, main_thread
from typing import Final

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from hilum.catalogue import pipeline_card
from hilum.jobs import Progress, Stage
from hilum.settings import Settings
from worker.celery import GRACE_S

SIGNAL: Final = signal.SIGUSR1
"""The one by which Celery tells a task that its time is over: both are answered in one place."""

log = structlog.get_logger(__name__)


def time_limit_s(pipeline: str, settings: Settings) -> int:
    """Return how long a job of a pipeline may run here: the shorter of its limit and ours.

    Raises:
        UnknownPipeline: no pipeline has this name.
    """
    return min(pipeline_card(pipeline).time_limit_s, settings.task_time_limit_s)


@contextmanager
def within(limit_s: float, progress: Progress, give_up: Callable[[], None]) -> Iterator[Progress]:
    """Give the code of a `with` block so much time, and yield where its steps report to.

    At the limit `SoftTimeLimitExceeded` is raised in the block, wherever it is; in a thread other
    than the main one, and where somebody swallowed it, at the next report. Where the
    process is still in the block `GRACE_S` later, `give_up` is called and the process killed.
    """
    deadline = Deadline(limit_s, progress, give_up)
    previous = signal.signal(SIGNAL, deadline.interrupt) if _is_main() else None
    # In this context, so that what the thread logs names the job.
    clock = Thread(
        target=copy_context().run, args=(deadline.enforce,), name="deadline", daemon=True
    )
    clock.start()
    try:
        # Nested: the signal may come on the way out, and what is outside must still be done.
        try:
            yield deadline
        finally:
            deadline.is_interruptible = False
    finally:
        deadline.over.set()
        clock.join()
        # No signal of ours can be on its way any more; the default would end the process.
        if _is_main():
            signal.signal(SIGNAL, signal.SIG_DFL if previous is None else previous)


class Deadline:
    """The clock of one job, between its steps and where they report to.

    Attributes:
        over: set when the job is.
        is_interruptible: whether the signal may break off what the main thread is doing.
    """

    def __init__(self, limit_s: float, progress: Progress, give_up: Callable[[], None]) -> None:
        self._limit_s, self._progress, self._give_up = limit_s, progress, give_up
        self._ends_at = time.monotonic() + limit_s
        self._notify = _is_main()
        self.over = Event()
        self.is_interruptible = True

    def __call__(self, stage: Stage, done: int, total: int) -> None:
        """Pass a step on.

        Raises:
            SoftTimeLimitExceeded: the job has no more time.
            JobStopped: the job must not go on.
        """
        # A database connection that is left in the middle of an answer is lost, and its error
        # would be taken for the job's outcome.
        self.is_interruptible = False
        try:
            self._progress(stage, done, total)
        finally:
            self.is_interruptible = True
        if time.monotonic() >= self._ends_at:
            raise SoftTimeLimitExceeded(self._limit_s)

    def interrupt(self, *_: object) -> None:
        """Break off what the main thread is doing, on its signal.

        Raises:
            SoftTimeLimitExceeded: it may be broken off.
        """
        if self.is_interruptible:
            raise SoftTimeLimitExceeded(self._limit_s)

    def enforce(self) -> None:
        """Watch the clock in a thread of its own until the job is over."""
        if self.over.wait(self._limit_s):
            return
        ident = main_thread().ident
        if self._notify and ident is not None:
            signal.pthread_kill(ident, SIGNAL)
        if self.over.wait(GRACE_S):
            return
        log.critical("job.killed", limit_s=self._limit_s, grace_s=GRACE_S)
        try:
            # It would run into the same limit again, and its worker would count as lost.
            self._give_up()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)


def _is_main() -> bool:
    """Whether this thread is the one that Python hands signals to."""
    return current_thread() is main_thread()
