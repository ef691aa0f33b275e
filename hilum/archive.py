# SPDX-License-Identifier: Apache-2.0
"""A zip archive from a stranger, unpacked within limits and never by its own file names."""

import errno
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from hilum.errors import (
    BrokenZip,
    EmptyUpload,
    EncryptedZip,
    NestedZip,
    NotZip,
    StorageFull,
    TooManyFiles,
    UnsafePath,
    ZipBomb,
)
from hilum.storage import check_free

CHUNK: Final = 1024 * 1024
"""Bytes unpacked at a time; an archive of any size costs this much memory."""

JUNK: Final = frozenset({".ds_store", "thumbs.db", "desktop.ini", "dicomdir"})
"""Files that systems add beside the images, in lower case; they are passed over."""

ARCHIVE_MAGIC: Final = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"\x1f\x8b\x08",
    b"BZh",
    b"\xfd7zXZ\x00",
)
"""First bytes of zip, empty zip, 7z, rar, gzip, bzip2 and xz; no DICOM file begins so."""

TAR_MAGIC: Final = slice(257, 262)
"""Where a tar archive says `ustar`."""

ENCRYPTED_FLAGS: Final = 0x1 | 0x40
"""General purpose bits 0, encrypted, and 6, strongly so (APPNOTE 4.4.4)."""

DIRECTORY_BYTES_A_FILE: Final = 1024
"""Allowed size of the central directory for each allowed file: zipfile reads it whole."""

LOCAL_HEADER_BYTES: Final = 30
"""Least distance from an entry's header to its data (APPNOTE 4.3.7)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may cost.

    Attributes:
        max_unpacked_bytes: of all files together.
        max_ratio: unpacked bytes over the archive's own.
        max_files: entries, folders included.
        min_free_mb: MiB that must stay free on the disk.
    """

    max_unpacked_bytes: int
    max_ratio: float
    max_files: int
    min_free_mb: int = 0


DEFAULT_LIMITS: Final = Limits(max_unpacked_bytes=16 * 1024**3, max_ratio=200, max_files=10_000)
"""What the library and the command take; a service has them as settings, with these defaults."""


def unpack(archive: Path, folder: Path, limits: Limits) -> list[Path]:
    """Unpack an archive into numbered files of a folder; returns their paths in archive order.

    Nothing is left in the folder when it fails.

    Raises:
        UploadError: its subclass names what is wrong with the archive.
        StorageFull: the disk does not take it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with archive.open("rb") as stream:
        _check_end(stream, limits)
        with _open(stream) as opened:
            entries = _wanted(opened, _size(stream), limits)
            needed = sum(entry.file_size for entry in entries)
            check_free(folder, needed=needed, min_free_mb=limits.min_free_mb)
            return _unpack_all(opened, entries, folder, limits)


# ── Before anything is unpacked ───────────────────────────────────────────────────────────────


def _check_end(stream: BinaryIO, limits: Limits) -> None:
    """Make sure of a zip whose directory fits in memory."""
    if _size(stream) == 0:
        raise EmptyUpload("The upload has 0 bytes, expected a zip archive.")
    stream.seek(0)
    start = stream.read(4)
    directory_bytes = _directory_bytes(stream)
    if directory_bytes is None:
        if start == ARCHIVE_MAGIC[0]:
            raise BrokenZip("The zip archive has no directory at its end: it was cut short.")
        raise NotZip(f"The upload begins with {start.hex(' ')}, expected a zip archive.")
    most = limits.max_files * DIRECTORY_BYTES_A_FILE
    if directory_bytes > most:
        raise TooManyFiles(
            f"The directory of the zip archive takes {directory_bytes} bytes, expected at most"
            f" {most} for {limits.max_files} files."
        )


def _directory_bytes(stream: BinaryIO) -> int | None:
    """Return the size of the central directory as the archive states it; None where it is none.

    Source: APPNOTE 4.3.14 to 4.3.16.
    """
    size = _size(stream)
    stream.seek(max(0, size - 65_557))
    tail = stream.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) - end < 22:  # noqa: PLR2004 - the record's fixed length
        return None
    (directory_bytes,) = struct.unpack_from("<I", tail, end + 12)
    locator = tail[end - 20 : end] if end >= 20 else b""  # noqa: PLR2004 - likewise
    if not locator.startswith(b"PK\x06\x07"):
        return int(directory_bytes)
    stream.seek(min(struct.unpack_from("<Q", locator, 8)[0], size))
    record = stream.read(56)
    if len(record) < 56 or not record.startswith(b"PK\x06\x06"):  # noqa: PLR2004 - likewise
        return int(directory_bytes)
    return int(struct.unpack_from("<Q", record, 40)[0])


def _open(stream: BinaryIO) -> ZipFile:
    try:
        return ZipFile(stream)
    except (BadZipFile, ValueError, OSError, struct.error, NotImplementedError) as error:
        raise BrokenZip("The directory of the zip archive cannot be read.") from error


def _wanted(opened: ZipFile, packed_bytes: int, limits: Limits) -> list[ZipInfo]:
    """Return the entries to unpack, once all of them have passed."""
    entries = opened.infolist()
    if len(entries) > limits.max_files:
        raise TooManyFiles(
            f"The zip archive holds {len(entries)} files, expected at most {limits.max_files}."
        )
    for number, entry in enumerate(entries, 1):
        _check_entry(entry, number)
    _check_overlap(entries)
    _check_size(sum(entry.file_size for entry in entries), packed_bytes, limits)
    wanted = [entry for entry in entries if not entry.is_dir() and not _is_junk(entry)]
    if not wanted:
        raise EmptyUpload(f"The zip archive holds {len(entries)} entries and no file to read.")
    return wanted


def _check_entry(entry: ZipInfo, number: int) -> None:
    # Entries are called by number: a file name may be a patient's.
    if _leads_outside(entry.orig_filename):
        raise UnsafePath(f"The name of entry {number} leads outside the archive's folder.")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise UnsafePath(f"Entry {number} is a link or a device, expected a file.")
    if entry.flag_bits & ENCRYPTED_FLAGS:
        raise EncryptedZip(f"Entry {number} of the zip archive is encrypted.")
    if entry.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
        raise BrokenZip(
            f"Entry {number} has compression method {entry.compress_type}, expected stored (0) or"
            " deflated (8)."
        )


def _leads_outside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    has_drive = len(name) > 1 and name[1] == ":"
    return path.is_absolute() or has_drive or ".." in path.parts or "\x00" in name


def _check_overlap(entries: list[ZipInfo]) -> None:
    # Entries that share their bytes are how 40 kB become gigabytes within every ratio of its parts.
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    for entry, following in pairwise(ordered):
        end = entry.header_offset + LOCAL_HEADER_BYTES + entry.compress_size
        if end > following.header_offset:
            raise ZipBomb("Entries of the zip archive overlap, expected bytes of their own.")


def _check_size(unpacked_bytes: int, packed_bytes: int, limits: Limits) -> None:
    if unpacked_bytes > limits.max_unpacked_bytes:
        raise ZipBomb(
            f"The zip archive unpacks to {unpacked_bytes} bytes or more,"
            f" expected at most {limits.max_unpacked_bytes}."
        )
    ratio = unpacked_bytes / max(packed_bytes, 1)
    if ratio > limits.max_ratio:
        raise ZipBomb(
            f"The zip archive unpacks to {ratio:.0f} times its size,"
            f" expected at most {limits.max_ratio:.0f} times."
        )


def _is_junk(entry: ZipInfo) -> bool:
    parts = PurePosixPath(entry.orig_filename.replace("\\", "/")).parts
    if "__MACOSX" in parts:
        return True
    return not parts or parts[-1].lower() in JUNK or parts[-1].startswith("._")


# ── Unpacking ─────────────────────────────────────────────────────────────────────────────────


def _unpack_all(
    opened: ZipFile, entries: list[ZipInfo], folder: Path, limits: Limits
) -> list[Path]:
    paths: list[Path] = []
    budget = limits.max_unpacked_bytes
    try:
        for number, entry in enumerate(entries):
            paths.append(folder / f"{number:06d}")
            budget -= _unpack_one(opened, entry, paths[-1], budget)
    except BaseException:
        for path in paths:
            path.unlink(missing_ok=True)
        raise
    return paths


def _unpack_one(opened: ZipFile, entry: ZipInfo, path: Path, budget: int) -> int:
    """Write one entry; returns its bytes, counted and not believed."""
    written = 0
    with _telling_a_full_disk(), path.open("xb") as target:
        for chunk in _chunks(opened, entry):
            if written == 0:
                _check_not_nested(chunk)
            written += len(chunk)
            if written > budget:
                raise ZipBomb("The zip archive unpacks to more bytes than its directory says.")
            target.write(chunk)
    return written


def _chunks(opened: ZipFile, entry: ZipInfo) -> Iterator[bytes]:
    try:
        with opened.open(entry) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except (BadZipFile, zlib.error, EOFError, OSError, ValueError, struct.error) as error:
        raise BrokenZip("A file of the zip archive is damaged.") from error
    except NotImplementedError as error:
        raise BrokenZip("A file of the zip archive is packed in a way not read here.") from error
    except RuntimeError as error:
        raise EncryptedZip("A file of the zip archive is encrypted.") from error


def _check_not_nested(start: bytes) -> None:
    if start.startswith(ARCHIVE_MAGIC) or start[TAR_MAGIC] == b"ustar":
        raise NestedZip("A file of the zip archive is an archive itself, expected DICOM files.")


@contextmanager
def _telling_a_full_disk() -> Iterator[None]:
    # Around the file's closing too: the last bytes may not reach the disk before it.
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StorageFull("The disk ran full while the archive was unpacked.") from error
        raise


def _size(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size
