# SPDX-License-Identifier: Apache-2.0
"""What a process leaves behind that dies of a fault in native code: which job it ran, and where it was.

A process that has met a segmentation fault can open no file and ask no database, so a file is open
beforehand and says which job runs; `faulthandler` writes the frames below that. The process that
follows on this machine reads it. One that the kernel kills leaves no frames.
"""

import faulthandler
import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db.attempts import Crash, keep_crash
from db.claims import Claim
from db.session import Sessions
from hilum.frames import read_dump

PREFIX: Final = "crash-"
"""Of the file of a process in the spool."""

JOB: Final = re.compile(r"(?P<id>[0-9a-f-]{36}) (?P<worker>\S+)$", re.MULTILINE)
"""The first line, where a job runs."""

log = structlog.get_logger(__name__)


class BlackBox:
    """The file of one process."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._file: int | None = None

    def open(self) -> None:
        """Have a fault written down from now on; called in the child."""
        self._spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file, name = mkstemp(dir=self._spool)
        # The kernel lets go of the lock when this process ends, however it does.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        # Under this name another process may read it, so it gets that once it is locked.
        Path(name).rename(self._spool / f"{PREFIX}{Path(name).name}")
        # The other threads wait for the database; only one ran the job.
        faulthandler.enable(self._file, all_threads=False)

    @contextmanager
    def recording(self, claim: Claim) -> Iterator[None]:
        """Say for the length of a `with` block which job runs."""
        self._say(f"{claim.job_id} {socket.gethostname()}:{os.getpid()}\n")
        try:
            yield
        finally:
            self._say("")

    def _say(self, line: str) -> None:
        if self._file is None:
            return
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, line.encode())


def read_boxes(spool: Path, sessions: Sessions) -> None:
    """Keep what dead processes left in a spool with the jobs they ran, and remove it."""
    for path in spool.glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError), path.open("rb") as file:
            if not _is_free(file.fileno()):
                continue
            try:
                _keep(file.read().decode(errors="replace"), sessions)
            except SQLAlchemyError as error:
                # It is still there for the process that follows this one.
                log.warning("crash.unkept", error=type(error).__name__)
                continue
            path.unlink()


def _is_free(file: int) -> bool:
    # By a lock and not by a process id: containers that share a spool do not share those.
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _keep(text: str, sessions: Sessions) -> None:
    found, job = read_dump(text), JOB.match(text)
    if found is None:
        return
    crash: Crash = {"error": found[0], "frames": found[1], "causes": []}
    log.error("process.crashed", job_id=job and job["id"], **crash)
    # A fault between two jobs is for the log alone.
    if job is not None:
        with sessions.begin() as session:
            keep_crash(session, UUID(job["id"]), job["worker"], crash)
