"""Objects as scanners keep them: every transfer syntax, and every way to be broken."""

import io
from copy import deepcopy
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from sqlalchemy import select

from db.session import Sessions
from db.tables import InstanceRow
from hilum.storage import StudyStore
from tests.phantoms import LOSSLESS, compressed

EXPLICIT: Final = str(ExplicitVRLittleEndian)

SYNTAXES: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    *LOSSLESS,
)


def kept_files(sessions: Sessions, store: StudyStore) -> list[Path]:
    """Return the files of the store, in the order in which they came."""
    with sessions.begin() as session:
        keys = session.scalars(select(InstanceRow.key).order_by(InstanceRow.id))
        return [Path(store.path(key)) for key in keys]


def encoded(datasets: list[Dataset], syntax: UID) -> list[Dataset]:
    """Return copies of Explicit VR Little Endian objects in another transfer syntax."""
    copies = deepcopy(datasets)
    if syntax.is_encapsulated:
        return compressed(copies, syntax)
    for one in copies:
        if not syntax.is_little_endian:
            one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
        one.file_meta.TransferSyntaxUID = syntax
    return copies


def cut_short(path: Path) -> None:
    """Lose the second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_representation(path: Path) -> None:
    """Make the value representation of Rows none that there is."""
    content = path.read_bytes()
    assert content.count(b"\x28\x00\x10\x00US") == 1
    path.write_bytes(content.replace(b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00\x00\xff"))


def without_numbers(path: Path) -> None:
    """Write letters where numbers belong."""
    dataset = dcmread(io.BytesIO(path.read_bytes()))
    content = path.read_bytes()
    for value in (str(dataset.RescaleSlope), str(dataset.SliceThickness)):
        content = content.replace(value.encode(), b"x" * len(value))
    path.write_bytes(content)


def empty(path: Path) -> None:
    """Lose everything but the name."""
    path.write_bytes(b"")


def gone(path: Path) -> None:
    """Lose the file."""
    path.unlink()


def noise(path: Path) -> None:
    """Overwrite everything behind the preamble."""
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:132] + np.random.default_rng(7).bytes(size - 132))


DAMAGES: Final = (cut_short, without_representation, without_numbers, empty, gone, noise)
