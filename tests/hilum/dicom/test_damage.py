"""Damaged files end in a value or a named error, and take no more memory than a whole one.

pytest tests/hilum/dicom/test_damage.py --hypothesis-profile=thorough
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from hilum.dicom.header import read_header
from hilum.dicom.identifiers import Identifiers, read_identifiers
from hilum.dicom.quality import score_series
from hilum.dicom.quiet import quiet
from hilum.dicom.read import read_slice, read_study, read_volume
from hilum.dicom.selection import choose_ct_series
from hilum.errors import HilumError
from tests import phantoms
from tests.enhanced import enhanced, rescaled
from tests.phantoms import chest

SIZE_PX = 32
SLICES = 4

Mutation = Callable[[bytearray], bytearray]


@dataclass(frozen=True)
class Original:
    """A file to damage, and the undamaged ones of its series."""

    data: bytes
    others: tuple[Path, ...]


# ── What is damaged ───────────────────────────────────────────────────────────────────────────


def small() -> list[Dataset]:
    """Return a few slices of a few pixels, so that header and pixels are hit alike."""
    slices = rescaled(chest().datasets()[10 : 10 + SLICES])
    for dataset in slices:
        image = phantoms.pixels(dataset)[80 : 80 + SIZE_PX, 60 : 60 + SIZE_PX]
        dataset.PixelData, dataset.Rows, dataset.Columns = image.tobytes(), SIZE_PX, SIZE_PX
    return slices


def compressed(dataset: Dataset, syntax: UID) -> Dataset:
    [packed] = phantoms.compressed([dataset], syntax)
    return packed


def stored(dataset: Dataset, syntax: UID) -> Dataset:
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def as_jpeg(dataset: Dataset) -> Dataset:
    image = (phantoms.pixels(dataset) >> 5).astype(np.uint8)
    file = BytesIO()
    PIL.Image.fromarray(image).save(file, "jpeg")
    dataset.PixelData = encapsulate([file.getvalue()])
    dataset["PixelData"].VR = "OB"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    return stored(dataset, JPEGBaseline8Bit)


CLASSIC: dict[str, Callable[[Dataset], Dataset]] = {
    "explicit": lambda dataset: dataset,
    "implicit": lambda dataset: stored(dataset, ImplicitVRLittleEndian),
    "big endian": lambda dataset: stored(dataset, ExplicitVRBigEndian),
    "deflated": lambda dataset: stored(dataset, DeflatedExplicitVRLittleEndian),
    "RLE": lambda dataset: compressed(dataset, RLELossless),
    "JPEG": as_jpeg,
    "JPEG 2000": lambda dataset: compressed(dataset, JPEG2000Lossless),
    "JPEG-LS": lambda dataset: compressed(dataset, JPEGLSLossless),
    "JPEG lossless": lambda dataset: compressed(dataset, JPEGLosslessSV1),
    "HTJ2K": lambda dataset: compressed(dataset, HTJ2KLossless),
}

ENHANCED: dict[str, Callable[[list[Dataset]], Dataset]] = {
    "enhanced": enhanced,
    "enhanced, each frame says all": lambda slices: enhanced(slices, shared=False),
    "enhanced, implicit": lambda slices: stored(enhanced(slices), ImplicitVRLittleEndian),
    "enhanced, deflated": lambda slices: stored(enhanced(slices), DeflatedExplicitVRLittleEndian),
    "enhanced, RLE": lambda slices: compressed(enhanced(slices), RLELossless),
    "enhanced, JPEG 2000": lambda slices: compressed(enhanced(slices), JPEG2000Lossless),
    "enhanced, JPEG-LS": lambda slices: compressed(enhanced(slices), JPEGLSLossless),
    "enhanced, JPEG lossless": lambda slices: compressed(enhanced(slices), JPEGLosslessSV1),
    "enhanced, HTJ2K": lambda slices: compressed(enhanced(slices), HTJ2KLossless),
}


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damage")


@pytest.fixture(scope="module")
def originals(scratch: Path) -> dict[str, Original]:
    with quiet():
        whole = {name: [change(one) for one in small()] for name, change in CLASSIC.items()}
        whole |= {name: [change(small())] for name, change in ENHANCED.items()}
        found = {}
        for name, datasets in whole.items():
            first, *others = sorted(phantoms.write(scratch / name, datasets).iterdir())
            found[name] = Original(first.read_bytes(), tuple(others))
    return found


# ── How it is damaged ─────────────────────────────────────────────────────────────────────────

LENGTHS = (0, 1, 2, 0xFF, 0x7FFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
"""What loops, shifts and allocations stumble over."""

NUMBERS = (
    *("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit"),
    *("PixelRepresentation", "PlanarConfiguration", "NumberOfFrames", "PixelData"),
    *("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"),
)
"""Attributes that say how much is to be read."""

places = st.integers(0, 2**16 - 1)
"""Where in a file, in parts of 65536."""

sizes = st.integers(1, 300)


def at(data: bytearray, place: int) -> int:
    return place * len(data) >> 16


def flipped(place: int, byte: int) -> Mutation:
    def mutate(data: bytearray) -> bytearray:
        data[at(data, place) : at(data, place) + 1] = bytes([byte])
        return data

    return mutate


def cut(place: int) -> Mutation:
    return lambda data: data[: at(data, place)]


def dropped(place: int, size: int) -> Mutation:
    return lambda data: data[: at(data, place)] + data[at(data, place) + size :]


def doubled(place: int, size: int, to: int) -> Mutation:
    def mutate(data: bytearray) -> bytearray:
        chunk = data[at(data, place) :][:size]
        return data[: at(data, to)] + chunk + data[at(data, to) :]

    return mutate


def overwritten(place: int, length: int, kind: str) -> Mutation:
    def mutate(data: bytearray) -> bytearray:
        number = struct.pack(kind, length & (2 ** (8 * struct.calcsize(kind)) - 1))
        return data[: at(data, place)] + number + data[at(data, place) + len(number) :]

    return mutate


def renumbered(keyword: str, number: int, kind: str) -> Mutation:
    """Write a number where an attribute has its length, or behind it."""
    tag = Tag(keyword)
    head = struct.pack(f"{kind[0]}HH", tag.group, tag.element)

    def mutate(data: bytearray) -> bytearray:
        place = data.find(head)
        if place < 0:
            return data
        place += len(head) + (4 if kind[1] == "H" else 0)
        written = struct.pack(kind, number & (2 ** (8 * struct.calcsize(kind)) - 1))
        return data[:place] + written + data[place + len(written) :]

    return mutate


mutations = st.one_of(
    st.builds(flipped, places, st.integers(0, 255)),
    st.builds(flipped, places, st.sampled_from(b"0123456789-.\\ \x00\xff")),
    st.builds(cut, places),
    st.builds(dropped, places, sizes),
    st.builds(doubled, places, sizes, places),
    st.builds(overwritten, places, st.sampled_from(LENGTHS), st.sampled_from(["<H", "<I", ">I"])),
    st.builds(
        renumbered,
        st.sampled_from(NUMBERS),
        st.sampled_from(LENGTHS) | st.integers(0, 0xFFFF),
        st.sampled_from(["<H", "<I", ">H"]),
    ),
)


# ── What becomes of it ────────────────────────────────────────────────────────────────────────


def parsed_identifiers(path: Path) -> Identifiers | None:
    with quiet():
        header = read_header(path)
    if header is None:
        return None
    one = header.instance
    return Identifiers(header.study_uid, header.series_uid, one.sop_instance_uid, one.sop_class_uid)


def go_the_way_of_an_upload(path: Path, others: tuple[Path, ...]) -> None:
    # What is confirmed by its UIDs has to be read later.
    assert read_identifiers(path) == parsed_identifiers(path)
    with suppress(HilumError):
        study = read_study([path, *others])
        score_series(study)
        read_volume(choose_ct_series(study).series)
    for frame in (None, 1):
        with suppress(HilumError):
            read_slice(path, frame)


@pytest.mark.timeout(7200)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from([*CLASSIC, *ENHANCED]),
    damage=st.lists(mutations, min_size=1, max_size=6),
)
def test_damaged_files_end_in_a_value_or_a_named_error(
    name: str, damage: list[Mutation], originals: dict[str, Original], scratch: Path
) -> None:
    data = bytearray(originals[name].data)
    for mutate in damage:
        data = mutate(data)
    path = scratch / "damaged.dcm"
    path.write_bytes(data)

    go_the_way_of_an_upload(path, originals[name].others)


@pytest.mark.parametrize("name", [*CLASSIC, *ENHANCED])
def test_undamaged_files_are_read(
    name: str, originals: dict[str, Original], tmp_path: Path
) -> None:
    path = tmp_path / "whole.dcm"
    path.write_bytes(originals[name].data)

    volume = read_volume(choose_ct_series(read_study([path, *originals[name].others])).series)

    assert volume.voxels.shape == (SLICES, SIZE_PX, SIZE_PX)
