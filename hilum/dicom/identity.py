# SPDX-License-Identifier: Apache-2.0
"""What an instance says, whichever door it came through, as one hash."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.dicom import header
from hilum.dicom.quiet import quiet

MOST_NESTED: Final = 16
"""Sequences in sequences that are followed; the standard's own go half as deep."""

LONGEST_PADDED: Final = 1024
"""Bytes of a value whose padding is looked at; longer ones are pixels and tables."""


def content_digest(path: Path) -> str:
    """Return SHA-256 over the elements of an instance, hexadecimal.

    Scanners and networks rewrite what is around the elements: the preamble and file meta
    information, lengths of groups and sequences, whether value representations are written out.
    None of that counts here, so a file from an archive and the same instance by C-STORE are one.
    A file that cannot be parsed is what its bytes are.
    """
    digest = hashlib.sha256()
    try:
        with quiet():
            dataset = dcmread(path, force=True)
            for piece in _pieces(dataset, MOST_NESTED):
                digest.update(piece)
    except header.BROKEN:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    return digest.hexdigest()


def _pieces(dataset: Dataset, depth: int) -> Iterator[bytes]:
    for tag in sorted(dataset.keys()):
        # Lengths of groups are nobody's words (PS3.5 7.2).
        if tag.element == 0:
            continue
        found = dataset.get_item(tag)
        yield int(tag).to_bytes(4)
        if depth and _is_sequence(found):
            yield from _items(dataset[tag].value, depth - 1)
        else:
            value = _bytes(found)
            yield len(value).to_bytes(8)
            yield value


def _items(sequence: Any, depth: int) -> Iterator[bytes]:
    for item in sequence or ():
        yield b"item"
        yield from _pieces(item, depth)
    yield b"ends"


def _is_sequence(element: Any) -> bool:
    if isinstance(element.value, Sequence):
        return True
    vr = element.VR
    if vr is None and not element.tag.is_private:
        try:
            vr = dictionary_VR(element.tag)
        except KeyError:
            return False
    return bool(vr == "SQ")


def _bytes(element: Any) -> bytes:
    value = element.value
    if not value:
        # pydicom reads an empty value as None, as "" or as no bytes at all.
        return b""
    if not isinstance(value, bytes):
        return repr(value).encode("utf-8", "replace")
    # Some pad with a space, some with a NUL, some not at all.
    return value.rstrip(b" \x00") if len(value) <= LONGEST_PADDED else value
