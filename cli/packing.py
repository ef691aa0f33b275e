# SPDX-License-Identifier: Apache-2.0
"""A study on its way out: a zip made while it is sent, so that a folder needs no second copy."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from typing_extensions import Buffer, override

from hilum.errors import NoDicom

CHUNK: Final = 256 * 1024
"""Bytes read at a time."""

Sent = Callable[[int, int], None]
"""Called as `sent(bytes, of_bytes)`."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is sent as one study.

    Attributes:
        files: an archive as it is, or the files of a folder.
        root: names inside the archive are relative to this folder; None for an archive.
        size: bytes of all files.
    """

    files: tuple[Path, ...]
    root: Path | None
    size: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the study at a path: a zip, one DICOM file, or a folder of them.

        Raises:
            NoDicom: the folder is empty.
        """
        if path.is_file():
            root = None if zipfile.is_zipfile(path) else path.parent
            return cls((path,), root, path.stat().st_size)
        files = tuple(file for file in sorted(path.rglob("*")) if _is_wanted(file, path))
        if not files:
            raise NoDicom(f"{path} holds no files, expected a study of DICOM files.")
        return cls(files, path, sum(file.stat().st_size for file in files))

    def stream(self, sent: Sent) -> Iterator[bytes]:
        """Yield the bytes of a zip, telling how many bytes of the study are on their way."""
        chunks = _read(self.files[0]) if self.root is None else _zip(self.files, self.root)
        count = 0
        for chunk in chunks:
            yield chunk
            # Names and headers of the archive would else make it more than all.
            count = min(count + len(chunk), self.size)
            sent(count, self.size)
        sent(self.size, self.size)


def _is_wanted(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return file.is_file() and not hidden


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


class _Outbox(io.RawIOBase):
    """What the archive is written to; it cannot be sought in, so `zipfile` writes straight on."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    @override
    def writable(self) -> bool:
        return True

    @override
    def write(self, data: Buffer, /) -> int:
        self._held.append(bytes(data))
        return len(self._held[-1])

    def take(self) -> bytes:
        """Return what was written since the last time."""
        held, self._held = b"".join(self._held), []
        return held


def _zip(files: tuple[Path, ...], root: Path) -> Iterator[bytes]:
    outbox = _Outbox()
    # Stored, not deflated: pixels hardly shrink, and a local network is faster than zlib.
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            with archive.open(file.relative_to(root).as_posix(), "w", force_zip64=True) as target:
                for chunk in _read(file):
                    target.write(chunk)
                    yield outbox.take()
    yield outbox.take()
