# SPDX-License-Identifier: Apache-2.0
"""Writing to an upload that arrives in pieces: one request at a time, and nothing half true."""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import FileIO
from pathlib import Path

from api.partial import DATA, OUTCOME, UNCHECKED, Outcome, Partial, unknown, write_whole
from api.spool import as_full
from hilum.errors import OffsetMismatch, UploadLocked, UploadTooLarge


class Writer:
    """Changes one upload while nobody else may.

    Attributes:
        partial: as it was when the lock was taken.
        offset: bytes that are here now.
    """

    def __init__(self, partial: Partial, file: FileIO) -> None:
        self.partial = partial
        self.offset = partial.offset
        self._file = file
        if (partial.folder / UNCHECKED).exists():
            # A process died between the bytes of a chunk and its checksum.
            self._take_back()
        file.seek(0, os.SEEK_END)

    def check_begin(self, offset: int, count: int) -> None:
        """Make sure that a chunk goes on where the upload stands, and fits.

        Raises:
            OffsetMismatch: bytes would be missing or twice there.
            UploadTooLarge: there would be more of them than were announced.
        """
        if offset != self.offset:
            raise OffsetMismatch(f"Upload-Offset is {offset}, the upload has {self.offset} bytes.")
        self._check_fits(count)

    def append(self, chunks: Iterable[bytes]) -> None:
        """Write bytes; what came before they broke off is kept.

        Raises:
            UploadTooLarge: there are more than were announced.
            StorageFull: the disk has no room for more.
        """
        try:
            for chunk in chunks:
                self._check_fits(len(chunk))
                self._write(chunk)
        finally:
            # What is acknowledged outlasts a power cut.
            os.fsync(self._file.fileno())

    def append_checked(self, chunks: Iterable[bytes]) -> None:
        """Write bytes that are none if they break off or turn out wrong: the iterable raises then.

        Raises:
            UploadTooLarge, StorageFull: as for `append`.
        """
        write_whole(self.partial.folder / UNCHECKED, self.offset)
        begin = self.offset
        try:
            self.append(chunks)
        except BaseException:
            self.offset = begin
            self._take_back()
            raise
        (self.partial.folder / UNCHECKED).unlink()

    def settle(self, outcome: Outcome) -> None:
        """Note what became of the upload, and let go of its bytes."""
        write_whole(self.partial.folder / OUTCOME, asdict(outcome))
        self._file.truncate(0)

    def remove(self) -> None:
        """Forget the upload."""
        shutil.rmtree(self.partial.folder)

    def _check_fits(self, count: int) -> None:
        if self.offset + count > self.partial.length:
            raise UploadTooLarge(
                f"The upload would have {self.offset + count} bytes or more, announced were"
                f" {self.partial.length}."
            )

    def _write(self, chunk: bytes) -> None:
        view = memoryview(chunk)
        while view:
            try:
                written = self._file.write(view)
            except OSError as error:
                raise as_full(error) from error
            self.offset += written
            view = view[written:]

    def _take_back(self) -> None:
        self._file.truncate(self.offset)
        self._file.seek(self.offset)
        os.fsync(self._file.fileno())
        (self.partial.folder / UNCHECKED).unlink()


@contextmanager
def writing(folder: Path) -> Iterator[Writer]:
    """Yield the right to change the upload in a folder; one request of any process has it.

    Raises:
        UploadLocked: another one has it.
        UnknownUpload: there is no upload, or no longer.
    """
    try:
        file = FileIO(folder / DATA, "r+")
    except FileNotFoundError as error:
        raise unknown(folder) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UploadLocked(f"Another request is writing to upload {folder.name}.") from error
        # Read under the lock; whoever had it before may have removed what is open here.
        yield Writer(Partial.load(folder), file)
