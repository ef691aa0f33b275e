# SPDX-License-Identifier: Apache-2.0
"""A folder on this machine's disk for the files of one job, gone with the job or its process."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

PREFIX: Final = "job-"
"""The web server has folders here too; a worker removes only what a worker made."""

YOUNG_S: Final = 60.0
"""A folder is locked at once after it was made, and left alone until it surely is."""


@contextmanager
def scratch_folder(spool: Path) -> Iterator[Path]:
    """Yield an empty folder under the spool, and remove it at the end."""
    spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=PREFIX, dir=spool) as name:
        # The kernel lets go of the lock when this process ends, however it does.
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def sweep_scratch(spool: Path) -> int:
    """Remove the folders of processes that were killed; return how many there were."""
    old = [one for one in spool.glob(f"{PREFIX}*") if _is_dead(one)]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return len(old)


def _is_dead(folder: Path) -> bool:
    # By a lock and not by a process id: containers that share a spool do not share those.
    try:
        if folder.stat().st_mtime > time.time() - YOUNG_S:
            return False
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
