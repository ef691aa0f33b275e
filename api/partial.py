# SPDX-License-Identifier: Apache-2.0
"""One upload that arrives in pieces, on this machine's disk until it is whole.

It is a folder that outlives the process which began it, and any process here may go on with it:

    upload.json   what was announced
    data          the bytes; how many there are is the offset, so no crash can make the two differ
    unchecked     where a chunk with a checksum began, for as long as that is not compared
    outcome.json  the job, or why there is none; `data` is emptied then
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

from hilum.errors import UnknownUpload, UploadFailed

ANNOUNCED: Final = "upload.json"
DATA: Final = "data"
UNCHECKED: Final = "unchecked"
OUTCOME: Final = "outcome.json"


class UploadState(StrEnum):
    """How far an upload is."""

    OPEN = "open"
    WHOLE = "whole"
    TAKEN = "taken"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a whole upload: the id of a job, or the code and sentence of an error."""

    job_id: str | None = None
    code: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Partial:
    """An upload as it was when its folder was read.

    Attributes:
        folder: where it lies.
        length: bytes that were announced.
        metadata: Upload-Metadata as it was sent.
        created_at: when it was announced.
        offset: bytes that are here, from the first one on.
        touched_at: when the last of them came.
        outcome: what became of it; None while it has not ended.
    """

    folder: Path
    length: int
    metadata: str
    created_at: datetime
    offset: int
    touched_at: datetime
    outcome: Outcome | None

    @classmethod
    def make(cls, folder: Path, *, length: int, metadata: str) -> None:
        """Make a folder an upload of which no byte is here yet."""
        announced = {
            "length": length,
            "metadata": metadata,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        (folder / DATA).touch()
        write_whole(folder / ANNOUNCED, announced)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the upload in a folder.

        Raises:
            UnknownUpload: there is none.
        """
        try:
            announced = _read(folder / ANNOUNCED)
            data = (folder / DATA).stat()
        except FileNotFoundError as error:
            raise unknown(folder) from error
        # After the bytes were counted: they are taken away once there is an outcome.
        outcome = Outcome(**_read(folder / OUTCOME)) if (folder / OUTCOME).exists() else None
        here = announced["length"] if outcome else min([data.st_size, *_unchecked_from(folder)])
        return cls(
            folder,
            announced["length"],
            announced["metadata"],
            datetime.fromisoformat(announced["created_at"]),
            here,
            datetime.fromtimestamp(data.st_mtime, UTC),
            outcome,
        )

    @property
    def id(self) -> UUID:
        """Its name for clients."""
        return UUID(self.folder.name)

    @property
    def state(self) -> UploadState:
        """How far it is."""
        if self.outcome is not None:
            return UploadState.FAILED if self.outcome.code else UploadState.TAKEN
        return UploadState.WHOLE if self.offset == self.length else UploadState.OPEN

    def expires_at(self, keep: timedelta) -> datetime:
        """Return when it is forgotten: the time begins anew with each chunk, for a link is slow."""
        return self.touched_at.replace(microsecond=0) + keep

    def check_not_failed(self) -> None:
        """Make sure that it did not end in an error.

        Raises:
            UploadFailed: it did; code and sentence are repeated.
        """
        if self.outcome and self.outcome.code:
            raise UploadFailed(f"The upload ended with {self.outcome.code}: {self.outcome.message}")


def unknown(folder: Path) -> UnknownUpload:
    """Return what to raise where there is no upload in a folder."""
    return UnknownUpload(f"There is no upload {folder.name}.")


def _unchecked_from(folder: Path) -> list[int]:
    with suppress(FileNotFoundError):
        return [_read(folder / UNCHECKED)]
    return []


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def write_whole(path: Path, document: Any) -> None:
    """Write a small file of JSON that is there whole or not at all, whenever the power goes."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as target:
        json.dump(document, target)
        target.flush()
        os.fsync(target.fileno())
    part.rename(path)
