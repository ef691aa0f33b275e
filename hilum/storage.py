# SPDX-License-Identifier: Apache-2.0
"""Files by key on a local disk or in S3: written whole or not at all, never overwritten."""

import hashlib
import io
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self, cast
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

from hilum import bucket
from hilum.errors import StorageFull, StorageUnavailable, UnusableStorage

CHUNK = 1024 * 1024
"""Bytes copied at a time; a study of any size costs this much memory."""

MKDIR_TRIES = 3
"""Times that a folder may vanish while another is made in it."""


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
        """Open the store at an fsspec URL, such as `file:///var/lib/hilum` or `s3://bucket`.

        Raises:
            UnusableStorage: the URL is none that could be opened here.
        """
        is_s3 = url.startswith(("s3://", "s3a://"))
        try:
            filesystem, root = fsspec.url_to_fs(url, **(bucket.OPTIONS if is_s3 else {}))
        except (ImportError, ValueError) as error:
            raise UnusableStorage(f"HILUM_STORAGE_URL: {error}") from error
        if is_s3:
            filesystem.retries = bucket.RETRIES
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
            StorageUnavailable: a remote store does not answer; nothing was kept.
            FileExistsError: the key holds other bytes.
        """
        self.check_space()
        stored = self._put_local(source, key) if self.is_local else self._put_remote(source, key)
        if stored is not None:
            return stored
        # Also where the answer to a request was lost, and the client sent it again.
        return self._compare(source, key)

    def _put_local(self, source: BinaryIO, key: str) -> StoredFile | None:
        # fsspec's own commit moves from /tmp, which across disks is a copy and not atomic.
        path = Path(self.path(key))
        _make_folder(path.parent)
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
        data = _read_fully(source, bucket.PART)
        if len(data) == bucket.PART:
            source.seek(0)
            return self._put_parts(source, key)
        try:
            with bucket.answered(key):
                # Exclusive: of two writers that meet, the store itself refuses the second.
                self.filesystem.pipe_file(self.path(key), data, mode="create")
        except FileExistsError:
            return None
        return StoredFile(key, hashlib.sha256(data).hexdigest(), len(data))

    def _put_parts(self, source: BinaryIO, key: str) -> StoredFile | None:
        with bucket.answered(key):
            target = self.filesystem.open(self.path(key), "xb", autocommit=False)
        try:
            sha256, size = _copy(source, cast("BinaryIO", bucket.Stream(target, key)))
            with bucket.answered(key):
                target.flush(force=True)
                target.commit()
        except BaseException as error:
            # Leaving the file to its destructor would publish half of it. What cannot be taken
            # back now, as from a store that is away, `delete` finds later.
            with suppress(Exception):
                target.discard()
            if isinstance(error, FileExistsError):
                return None
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
        """Open a kept file for reading.

        Raises:
            StorageUnavailable: a remote store does not answer; reading raises the same.
            FileNotFoundError: nothing is kept under the key.
        """
        if self.is_local:
            return cast("BinaryIO", self.filesystem.open(self.path(key), "rb"))
        with bucket.answered(key):
            stream = self.filesystem.open(self.path(key), "rb")
        return io.BufferedReader(bucket.Stream(stream, key), bucket.PART // 8)

    def local_files(self, keys: Iterable[str], scratch: Path) -> list[Path]:
        """Return paths on this machine for keys; remote ones are fetched into `scratch`.

        Raises:
            StorageUnavailable: a remote store does not answer.
            FileNotFoundError: nothing is kept in a remote store under one of the keys.
        """
        if self.is_local:
            return [Path(self.path(key)) for key in keys]
        keys = list(keys)
        paths = [scratch / key for key in keys]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        with bucket.answered(f"{len(keys)} files"):
            self.filesystem.get([self.path(key) for key in keys], [str(path) for path in paths])
        return paths

    def kept_files(self, keys: Iterable[str], scratch: Path) -> list[Path]:
        """Return `local_files` that are all there; without one, the rest would be read as another study.

        Raises:
            StorageUnavailable: a remote store does not answer.
            FileNotFoundError: nothing is kept under one of the keys.
        """
        paths = self.local_files(keys, scratch)
        for path in paths:
            path.stat()
        return paths

    def delete(self, prefix: str) -> None:
        """Remove everything under a prefix, files half written among it; nothing there is success.

        Raises:
            StorageUnavailable: a remote store does not answer, or kept some of it.
        """
        path = self.path(prefix)
        if self.is_local:
            _remove_folder(Path(path), Path(self.root))
            return
        with bucket.answered(prefix), suppress(FileNotFoundError):
            self.filesystem.rm(path, recursive=True)
        if not bucket.is_s3(self.filesystem):
            return
        with bucket.answered(prefix):
            bucket.abort_uploads(self.filesystem, path)
            # S3 answers 200 to the removal of many files although some of them stay.
            kept = self.filesystem.find(path)
        if kept:
            raise StorageUnavailable(f"The store kept {len(kept)} files that were to be removed.")

    def holds(self, prefix: str) -> bool:
        """Whether anything is kept under a prefix, files half written among it.

        Raises:
            StorageUnavailable: a remote store does not answer.
        """
        path = self.path(prefix)
        with bucket.answered(prefix):
            begun = bucket.is_s3(self.filesystem) and bucket.uploads_under(self.filesystem, path)
            return bool(begun or self.filesystem.exists(path))

    def folders(self, prefix: str) -> list[str]:
        """Return the names right under a prefix; none where nothing is there.

        Raises:
            StorageUnavailable: a remote store does not answer.
        """
        with bucket.answered(prefix), suppress(FileNotFoundError):
            found = self.filesystem.ls(self.path(prefix), detail=False)
            return [str(path).rstrip("/").rpartition("/")[2] for path in found]
        return []

    def check(self) -> None:
        """Make sure that a remote store is there.

        Raises:
            UnusableStorage: no repetition would find it.
            StorageUnavailable: it does not answer at present.
        """
        if bucket.is_s3(self.filesystem):
            bucket.check(self.filesystem, self.root)

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


def _make_folder(folder: Path) -> None:
    for _ in range(MKDIR_TRIES):
        # One above it that was empty may be taken away between two steps.
        with suppress(FileNotFoundError):
            folder.mkdir(parents=True, exist_ok=True)
            return
    folder.mkdir(parents=True, exist_ok=True)


def _remove_folder(folder: Path, root: Path) -> None:
    # Another process may take away the same at this moment: what it took is no trouble here, but what
    # it has not come to yet is still there.
    while folder.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    # The folder above bears the UID of a study.
    if folder.parent != root:
        with suppress(OSError):
            folder.parent.rmdir()


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        size += target.write(chunk)
    return digest.hexdigest(), size


def _read_fully(source: BinaryIO, most: int) -> bytes:
    """Read so many bytes, or all there are: a stream may give fewer at a time than were asked for."""
    content = bytearray()
    while len(content) < most and (chunk := source.read(most - len(content))):
        content += chunk
    return bytes(content)


def _digest(stream: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()
