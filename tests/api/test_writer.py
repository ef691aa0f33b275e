import errno
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from api.partial import UNCHECKED, Partial, UploadState
from api.writer import writing
from hilum.errors import (
    ChecksumMismatch,
    IncompleteUpload,
    StorageFull,
    UnknownUpload,
    UploadLocked,
    UploadTooLarge,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An upload of ten bytes to come, of which three are here."""
    Partial.make(tmp_path, length=10, metadata="")
    with writing(tmp_path) as writer:
        writer.append([b"123"])
    return tmp_path


def then(error: Exception, *chunks: bytes) -> Iterator[bytes]:
    yield from chunks
    raise error


def data(folder: Path) -> bytes:
    return (folder / "data").read_bytes()


def test_what_came_before_a_break_is_kept(folder: Path) -> None:
    with writing(folder) as writer, pytest.raises(IncompleteUpload):
        writer.append(then(IncompleteUpload(), b"45", b"6"))

    assert data(folder) == b"123456"
    assert (Partial.load(folder).offset, Partial.load(folder).state) == (6, UploadState.OPEN)


@pytest.mark.parametrize("error", [IncompleteUpload(), ChecksumMismatch(), KeyboardInterrupt()])
def test_bytes_with_a_checksum_are_kept_whole_or_not_at_all(folder: Path, error: Any) -> None:
    with writing(folder) as writer:
        with pytest.raises(type(error)):
            writer.append_checked(then(error, b"xx", b"x"))
        writer.append_checked([b"4567"])
        writer.append([b"890"])

    assert data(folder) == b"1234567890"
    assert Partial.load(folder).state is UploadState.WHOLE


def test_bytes_whose_checksum_was_never_compared_are_taken_back(folder: Path) -> None:
    # As a process leaves it that is killed between the bytes and their checksum.
    (folder / UNCHECKED).write_text("3")
    (folder / "data").write_bytes(b"123xx")

    assert Partial.load(folder).offset == 3
    with writing(folder) as writer:
        writer.append([b"45"])

    assert data(folder) == b"12345"
    assert not (folder / UNCHECKED).exists()


def test_bytes_beyond_the_announced_length_are_not_written(folder: Path) -> None:
    with writing(folder) as writer, pytest.raises(UploadTooLarge, match="11 bytes or more"):
        writer.append([b"45", b"678901"])

    assert data(folder) == b"12345"


def test_one_request_at_a_time_has_an_upload(folder: Path) -> None:
    with writing(folder), pytest.raises(UploadLocked), writing(folder):
        pass

    with writing(folder) as writer:
        writer.append([b"4"])


def test_removed_upload_is_unknown_to_who_waited_for_it(folder: Path) -> None:
    waiting = FileIO(folder / "data", "r+")
    with writing(folder) as writer:
        writer.remove()

    with pytest.raises(UnknownUpload), writing(folder):
        pass
    waiting.close()


def test_full_disk_is_told_as_such_and_what_was_written_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(file: FileIO, view: memoryview) -> int:
        if len(view) < 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(file.fileno(), view[:2])

    class Full(FileIO):
        write = write_half

    monkeypatch.setattr("api.writer.FileIO", Full)

    with writing(folder) as writer, pytest.raises(StorageFull):
        writer.append([b"4567"])

    assert data(folder) == b"12345"
    assert Partial.load(folder).offset == 5
