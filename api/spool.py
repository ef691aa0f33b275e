# SPDX-License-Identifier: Apache-2.0
"""A place on this machine's disk for each upload, for as long as it is looked at.

Every process has a home under the spool folder and holds a lock on it for as long as it lives, so
the next process to start can tell what a dead one left behind and remove it.
"""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, Self, TextIO

from hilum.errors import StorageFull

HOME_PREFIX: Final = "uploads-"
"""The worker has folders here too; a process removes only what a process of this kind made."""


@dataclass(frozen=True, slots=True)
class SpooledFile:
    """A file that lies in the spool.

    Attributes:
        path: where.
        sha256: of its bytes, hexadecimal.
        size: bytes.
    """

    path: Path
    sha256: str
    size: int


def spooled(path: Path) -> SpooledFile:
    """Return a file that somebody else wrote to the spool."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return SpooledFile(path, digest.hexdigest(), path.stat().st_size)


class SpoolFile:
    """One file on its way to the spool, hashed as it is written.

    It is closed by `seek`, which the multipart parser calls at the end of a part: ten thousand
    parts are ten thousand files, but never more than one open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._file = path.open("xb")

    def write(self, data: bytes | memoryview) -> int:
        """Write the next bytes.

        Raises:
            StorageFull: the disk has no room for more.
        """
        try:
            self._file.write(data)
        except OSError as error:
            raise as_full(error) from error
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def hasten(self) -> None:
        """Have what was written go to the disk meanwhile, so that a sync to come finds it there.

        Raises:
            StorageFull: the disk has no room for the last bytes.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise as_full(error) from error
        # macOS has no such call; there the sync does all.
        if hasattr(os, "posix_fadvise"):
            # Linux writes what is to leave its memory first, and does not wait for it.
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def seek(self, _offset: int) -> int:
        """End the writing."""
        self.close()
        return 0

    def close(self) -> None:
        """End the writing.

        Raises:
            StorageFull: the disk has no room for the last bytes.
        """
        try:
            self._file.close()
        except OSError as error:
            raise as_full(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        # Closing twice is harmless; leaving a file open because the client left is not.
        self._file.close()

    def done(self) -> SpooledFile:
        """Return what was written."""
        self.close()
        return SpooledFile(self.path, self._digest.hexdigest(), self.size)


def as_full(error: OSError) -> Exception:
    """Return what to raise where writing failed: a full disk has a name of its own."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull("The disk filled up while the upload was written.")
    return error


@dataclass(frozen=True, slots=True)
class Spool:
    """This process's part of the spool folder.

    Attributes:
        home: its folder.
        lock: an open, locked file; the kernel lets go of it when the process ends, however it does.
    """

    home: Path
    lock: TextIO

    @classmethod
    def open(cls, root: Path) -> Self:
        """Make a home under the spool folder and remove what dead processes left there."""
        root.mkdir(parents=True, exist_ok=True)
        # Patient data lies here for a moment; an umask does not decide who may look.
        root.chmod(0o700)
        with (root / "start.lock").open("a") as starting:
            # One at a time: a home that is made but not yet locked would look dead.
            fcntl.flock(starting, fcntl.LOCK_EX)
            _sweep(root)
            home = Path(mkdtemp(prefix=HOME_PREFIX, dir=root))
            lock = _lock_path(home).open("w")
            fcntl.flock(lock, fcntl.LOCK_EX)
        return cls(home, lock)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield an empty folder that is removed at the end, whatever happens."""
        folder = Path(mkdtemp(dir=self.home))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove the home."""
        shutil.rmtree(self.home, ignore_errors=True)
        _lock_path(self.home).unlink(missing_ok=True)
        self.lock.close()


def _sweep(root: Path) -> None:
    for home in root.glob(f"{HOME_PREFIX}*"):
        if home.is_dir() and not _is_alive(home):
            shutil.rmtree(home, ignore_errors=True)
            _lock_path(home).unlink(missing_ok=True)


def _is_alive(home: Path) -> bool:
    try:
        with _lock_path(home).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _lock_path(home: Path) -> Path:
    # Beside the home, so that its owner may empty the home and still be seen to live.
    return home.with_name(f"{home.name}.lock")
