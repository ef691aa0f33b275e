# SPDX-License-Identifier: Apache-2.0
"""Files that jobs and studies have in the store, or the word that they are gone."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from api.parts import parts
from hilum.errors import FilesGone


def open_kept(key: str) -> BinaryIO:
    """Open a stored file for reading.

    Raises:
        FilesGone: it is no longer there.
    """
    with _told_if_gone():
        return parts().store.open_file(key)


def kept_files(keys: Iterable[str], scratch: Path) -> list[Path]:
    """Return paths on this machine for stored files; remote ones are fetched into `scratch`.

    Raises:
        FilesGone: one of them is no longer there.
    """
    with _told_if_gone():
        return parts().store.kept_files(keys, scratch)


@contextmanager
def _told_if_gone() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise FilesGone from error
