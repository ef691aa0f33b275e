# SPDX-License-Identifier: Apache-2.0
"""Where this machine keeps uploads that arrive in pieces: by tenant, with room for all of them.

The shelf lies below the spool folder and outside the homes of processes, so that it outlives them.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from typing import Final, Self
from uuid import UUID, uuid4

from api.partial import Partial
from api.writer import writing
from hilum.errors import TooManyUploads, UnknownUpload, UploadLocked
from hilum.settings import Settings
from hilum.storage import check_free

FOLDER: Final = "partial"
"""Below the spool folder."""

NEW: Final = "new-"
"""Begins the name of a folder that is not an upload yet."""

MAX_OPEN: Final = 32
"""Uploads of one tenant that are under way; a scanner sends a few at a time."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The uploads of every tenant.

    Attributes:
        root: their folder.
        keep: how long one is kept after its last byte.
        min_free_mb: MiB that must stay free on the disk.
    """

    root: Path
    keep: timedelta
    min_free_mb: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the shelf of an installation."""
        keep = timedelta(hours=settings.upload_keep_h)
        return cls(settings.spool_dir / FOLDER, keep, settings.min_free_mb)

    def add(self, tenant_id: UUID, *, length: int, metadata: str) -> Partial:
        """Make room for an upload of a length.

        Raises:
            TooManyUploads: the tenant has many that are not ended.
            StorageFull: the disk does not take what is announced already and this.
        """
        with self._one_at_a_time():
            # Uploads matter to the disk when another one wants room, so no timer watches them.
            self._sweep()
            self._check_room(tenant_id, length)
            return self._make(tenant_id, length, metadata)

    def find(self, tenant_id: UUID, upload_id: UUID) -> Partial:
        """Return an upload of a tenant.

        Raises:
            UnknownUpload: there is none, or it has expired.
        """
        partial = Partial.load(self.root / str(tenant_id) / str(upload_id))
        if self._is_expired(partial):
            raise UnknownUpload(f"Upload {upload_id} has expired.")
        return partial

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "add.lock").open("a") as lock:
            # Two that are counted at once would both take the last room.
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        for dead in self.root.glob(f"{NEW}*"):
            shutil.rmtree(dead, ignore_errors=True)
        for partial in self._all():
            if self._is_expired(partial):
                # One that is written to at this moment is not as dead as it seemed.
                with suppress(UploadLocked, UnknownUpload), writing(partial.folder) as writer:
                    writer.remove()

    def _check_room(self, tenant_id: UUID, length: int) -> None:
        under_way = [partial for partial in self._all() if partial.outcome is None]
        own = sum(partial.folder.parent.name == str(tenant_id) for partial in under_way)
        if own >= MAX_OPEN:
            raise TooManyUploads(
                f"{own} uploads are under way, expected fewer than {MAX_OPEN}: end or DELETE some."
            )
        awaited = sum(partial.length - partial.offset for partial in under_way)
        check_free(self.root, needed=awaited + length, min_free_mb=self.min_free_mb)

    def _make(self, tenant_id: UUID, length: int, metadata: str) -> Partial:
        folder = self.root / str(tenant_id) / str(uuid4())
        making = Path(mkdtemp(prefix=NEW, dir=self.root))
        Partial.make(making, length=length, metadata=metadata)
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        making.rename(folder)
        return Partial.load(folder)

    def _all(self) -> Iterator[Partial]:
        for folder in self.root.glob("*/*/"):
            with suppress(UnknownUpload):
                yield Partial.load(folder)

    def _is_expired(self, partial: Partial) -> bool:
        return partial.expires_at(self.keep) < datetime.now(UTC)
