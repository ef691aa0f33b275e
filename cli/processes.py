# SPDX-License-Identifier: Apache-2.0
"""Child processes: started, watched, started again with growing pauses, stopped in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

import click

POLL_S: Final = 0.2
"""How often the children are looked at."""

STOP_POLL_S: Final = 0.02
"""The same while they are stopping."""

STEADY_S: Final = 60.0
"""A child that ran this long is healthy again: its next death counts as the first."""

LONGEST_PAUSE_S: Final = 15.0
"""Longest wait before a child is started again."""

MOST_DEATHS: Final = 5
"""Deaths in a row after which a child is given up and everything stops."""

STOPPING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end `hilum serve`; a terminal that closes sends the last."""


class ProcessLost(click.ClickException):
    """A part of the system keeps dying."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a child runs.

    Attributes:
        name: for people.
        argv: program and arguments.
        env: its whole environment.
        log: file that its output is appended to.
        stop_s: seconds it may take to end after SIGTERM before it is killed.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    stop_s: float = 10.0


@dataclass(slots=True)
class Child:
    """One program and the process that runs it now."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    again_at: float = field(default=0.0)

    def start(self) -> None:
        """Start the process."""
        self.program.log.parent.mkdir(parents=True, exist_ok=True)
        with self.program.log.open("ab") as log:
            # In a session of its own, Ctrl-C reaches the parent alone, which then stops in order.
            self.process = subprocess.Popen(  # noqa: S603 - our own programs
                self.program.argv,
                env=dict(self.program.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    def watch(self) -> None:
        """Start the process again if it died, after a pause that grows with each death.

        Raises:
            ProcessLost: it died too often.
        """
        if self.process is None:
            if time.monotonic() >= self.again_at:
                self.start()
            return
        status = self.process.poll()
        if status is not None:
            self._bury(status)

    def _bury(self, status: int) -> None:
        steady = time.monotonic() - self.started_at > STEADY_S
        self.deaths = 1 if steady else self.deaths + 1
        self.process = None
        if self.deaths >= MOST_DEATHS:
            raise ProcessLost(
                f"The {self.program.name} stopped {self.deaths} times in a row, the last time with"
                f" exit status {status}. Its log is {self.program.log}."
            )
        self.again_at = time.monotonic() + min(2.0 ** (self.deaths - 1), LONGEST_PAUSE_S)

    def stop(self, hurry: Event) -> None:
        """End the process and all it started: politely first, then for certain.

        Args:
            hurry: once set, politeness ends.
        """
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.process.terminate()
        deadline = time.monotonic() + self.program.stop_s
        while self.process.poll() is None and time.monotonic() < deadline and not hurry.is_set():
            time.sleep(STOP_POLL_S)
        # What the child started shares its session and must not outlive it.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None


@dataclass(slots=True)
class Family:
    """The children of one `hilum serve`, in the order in which they are stopped."""

    children: list[Child]

    def watch(self) -> None:
        """Look once at every child."""
        for child in self.children:
            child.watch()

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float) -> bool:
        """Watch until `ready` answers true; false where that takes too long."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.watch()
            if ready():
                return True
            time.sleep(POLL_S)
        return False

    def watch_for_ever(self) -> None:
        """Watch until a signal ends it."""
        while True:
            self.watch()
            time.sleep(POLL_S)


@contextmanager
def running(programs: Sequence[Program]) -> Iterator[Family]:
    """Run programs for the length of a `with` block; they stop in the order given."""
    family = Family([Child(program) for program in programs])
    try:
        family.watch()
        yield family
    finally:
        with _hurried_by_signals() as hurry:
            for child in family.children:
                child.stop(hurry)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Leave the `with` block, cleanly and without a traceback, on Ctrl-C, SIGTERM or SIGHUP."""
    before = {number: signal.signal(number, _interrupt) for number in STOPPING}
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _hurried_by_signals() -> Iterator[Event]:
    # A second Ctrl-C must not leave half of the children behind, so it hurries and does not break.
    hurry = Event()
    before = {number: signal.signal(number, lambda *_: hurry.set()) for number in STOPPING}
    try:
        yield hurry
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
