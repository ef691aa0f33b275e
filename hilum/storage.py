# SPDX-License-Identifier: Apache-2.0
"""Files by key on a local disk or in S3: written whole or not at all, never overwritten."""

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from hilum.errors import StorageFull

CHUNK = 1024 * 1024
"""Bytes copied at a time; a study of any size costs this much memory."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is safely kept.

    Attributes:
        key: its name in the store, parts joined by "/".
        sha256: of its bytes, hexadecimal.
        size: bytes.
    """

    key: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class StudyStore:
    """Studies and results under one root.

    Attributes:
        filesystem: an fsspec file system.
        root: path of the root in it.
        min_free_mb: MiB that must stay free on a local disk.
    """

    filesystem: fsspec.AbstractFileSystem
    root: str
    min_free_mb: int = 0

    @classmethod
    def open(cls, url: str, *, min_free_mb: int = 0) -> Self:
        """Open the store at an fsspec URL, such as `file:///var/lib/hilum` or `s3://bucket`."""
        filesystem, root = fsspec.url_to_fs(url)
        return cls(filesystem, root.rstrip("/"), min_free_mb)

    @property
    def is_local(self) -> bool:
        """Whether keys are files of this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    def path(self, key: str) -> str:
        """Return the path of a key in the file system."""
        return f"{self.root}/{key}"

    def put(self, source: BinaryIO, key: str) -> StoredFile:
        """Copy a seekable stream to a key; a key taken by the same bytes is success.

        Raises:
            StorageFull: the disk is nearly full; nothing was kept.
            FileExistsError: the key holds other bytes.
        """
        self.check_space()
        stored = self._put_local(source, key) if self.is_local else self._put_remote(source, key)
        if stored is not None:
            return stored
        return self._compare(source, key)

    def _put_local(self, source: BinaryIO, key: str) -> StoredFile | None:
        # fsspec's own commit moves from /tmp, which across disks is a copy and not atomic.
        path = Path(self.path(key))
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{uuid4().hex}.part")
        try:
            with part.open("xb") as target:
                sha256, size = _copy(source, target)
                # A name that reaches the disk before its bytes would be an empty file.
                os.fsync(target.fileno())
            # Unlike a rename, a link fails where the name is taken.
            os.link(part, path)
        except FileExistsError:
            return None
        finally:
            part.unlink(missing_ok=True)
        return StoredFile(key, sha256, size)

    def _put_remote(self, source: BinaryIO, key: str) -> StoredFile | None:
        # Exclusive mode: of two writers that meet, the store itself refuses the second.
        target = self.filesystem.open(self.path(key), "xb", autocommit=False)
        try:
            sha256, size = _copy(source, target)
            target.flush(force=True)
            target.commit()
        except FileExistsError:
            return None
        except BaseException:
            # Leaving the file to its destructor would publish half of it.
            target.discard()
            raise
        finally:
            target.closed = True
        return StoredFile(key, sha256, size)

    def _compare(self, source: BinaryIO, key: str) -> StoredFile:
        source.seek(0)
        with self.open_file(key) as present:
            if _digest(present) != (sha256 := _digest(source)):
                raise FileExistsError(f"{key} already holds other bytes.")
        return StoredFile(key, sha256, source.seek(0, os.SEEK_END))

    def open_file(self, key: str) -> BinaryIO:
        """Open a kept file for reading."""
        stream: BinaryIO = self.filesystem.open(self.path(key), "rb")
        return stream

    def local_files(self, keys: Iterable[str], scratch: Path) -> list[Path]:
        """Return paths on this machine for keys; remote ones are fetched into `scratch`."""
        if self.is_local:
            return [Path(self.path(key)) for key in keys]
        keys = list(keys)
        paths = [scratch / key for key in keys]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        self.filesystem.get([self.path(key) for key in keys], [str(path) for path in paths])
        return paths

    def delete(self, prefix: str) -> None:
        """Remove everything under a prefix; nothing there is success."""
        if self.filesystem.exists(self.path(prefix)):
            self.filesystem.rm(self.path(prefix), recursive=True)

    def check_space(self, needed: int = 0) -> None:
        """Make sure that `needed` bytes fit and the reserve stays free.

        Raises:
            StorageFull: they do not.
        """
        if not self.is_local:
            return
        Path(self.root).mkdir(parents=True, exist_ok=True)
        check_free(Path(self.root), needed=needed, min_free_mb=self.min_free_mb)


def check_free(folder: Path, *, needed: int, min_free_mb: int) -> None:
    """Make sure that a folder's disk takes `needed` bytes and keeps its reserve.

    Raises:
        StorageFull: it does not.
    """
    free = shutil.disk_usage(folder).free
    wanted = needed + min_free_mb * 1024 * 1024
    if free < wanted:
        raise StorageFull(
            f"The disk has {free // 1024**2} MiB free, this needs {wanted // 1024**2} MiB."
        )


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        size += target.write(chunk)
    return digest.hexdigest(), size


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
