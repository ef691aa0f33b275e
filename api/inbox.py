# SPDX-License-Identifier: Apache-2.0
"""Instances that come one by one, each safely on disk, until their study is complete.

A folder for each study lies under its tenant and what was asked; a file is called by its hash. The
folder is all there is to remember, so nothing is lost with a process, and another one goes on.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self
from uuid import UUID

from api.spool import SpooledFile
from hilum.dicom.uids import as_name
from hilum.settings import Settings

FOLDER: Final = "inbox"
"""Its name under the spool folder."""

ASKED: Final = "asked.json"
"""What is asked of the studies beside it."""

SUFFIX: Final = ".dcm"


@dataclass(frozen=True, slots=True)
class Pending:
    """A study that is coming in.

    Attributes:
        folder: its files.
        tenant_id: who sends it.
        asked: pipeline, network, priority and callback_url, where named.
        count: files so far.
        idle_s: since the last one came.
    """

    folder: Path
    tenant_id: UUID
    asked: Mapping[str, str]
    count: int
    idle_s: float

    def files(self) -> list[SpooledFile]:
        """Return what has come so far."""
        return [
            SpooledFile(path, path.stem, path.stat().st_size)
            for path in sorted(self.folder.glob(f"*{SUFFIX}"))
        ]

    def forget(self, files: Iterable[SpooledFile]) -> None:
        """Remove files that are kept elsewhere; what came since stays."""
        for file in files:
            file.path.unlink(missing_ok=True)
        # A file that came meanwhile keeps the folder, and the study comes up again.
        with suppress(OSError):
            self.folder.rmdir()


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where instances wait for the rest of their study.

    Attributes:
        root: a folder on the disk of the spool.
        quiet_s: a study is complete when nothing came for so long.
        most: or when it has so many instances.
    """

    root: Path
    quiet_s: float
    most: int

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Return the inbox of an installation's spool."""
        most = settings.study_instances or settings.max_files
        return cls(settings.spool_dir / FOLDER, settings.study_quiet_s, most)

    def add(
        self,
        tenant_id: UUID,
        asked: Mapping[str, str],
        arrived: Iterable[tuple[str, SpooledFile]],
    ) -> None:
        """Keep files, safe from a power cut once this returns.

        Args:
            tenant_id: who sent them.
            asked: what is to be done with their studies.
            arrived: pairs of study UID and file; the files are moved away.
        """
        place = self._place(tenant_id, asked)
        arrived = list(arrived)
        # All before any is moved: one sync settles what changed in the folders since the last.
        for _, file in arrived:
            _sync(file.path)
        folders = set()
        for study_uid, file in arrived:
            folder = place / as_name(study_uid)
            _move(file.path, folder / f"{file.sha256}{SUFFIX}")
            folders.add(folder)
        for folder in folders:
            with suppress(FileNotFoundError):
                _sync(folder)
        _sync(place)

    def pending(self) -> Iterator[Pending]:
        """Yield every study that is coming in."""
        for asked_path in self.root.glob(f"*/*/{ASKED}"):
            asked = json.loads(asked_path.read_text())
            tenant_id = UUID(asked_path.parent.parent.name)
            for folder in asked_path.parent.iterdir():
                # A folder may go while it is looked at: another process was quicker.
                with suppress(FileNotFoundError, NotADirectoryError):
                    count = sum(path.suffix == SUFFIX for path in folder.iterdir())
                    idle_s = abs(time.time() - folder.stat().st_mtime)
                    yield Pending(folder, tenant_id, asked, count, idle_s)

    def is_complete(self, study: Pending) -> bool:
        """Tell whether a study is to be taken in."""
        return study.count >= self.most or study.idle_s >= self.quiet_s

    def _place(self, tenant_id: UUID, asked: Mapping[str, str]) -> Path:
        text = json.dumps(dict(sorted(asked.items())))
        place = self.root / str(tenant_id) / hashlib.sha256(text.encode()).hexdigest()[:16]
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (place / ASKED).exists():
            # The folders above may be new, and what is synced in a folder is lost with its name.
            for folder in (place.parent, self.root, self.root.parent):
                _sync(folder)
            part = place / f".{os.getpid()}-{time.monotonic_ns()}"
            part.write_text(text)
            _sync(part)
            part.replace(place / ASKED)
        return place


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Yield whether this process may take a folder: no other one is at it."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(handle)


def _move(source: Path, target: Path) -> None:
    while source.exists():
        target.parent.mkdir(mode=0o700, exist_ok=True)
        # Between the two calls the folder may be taken in and removed.
        with suppress(FileNotFoundError):
            source.replace(target)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
