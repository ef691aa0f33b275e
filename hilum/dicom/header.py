# SPDX-License-Identifier: Apache-2.0
"""One DICOM header as plain values; what is absent or broken becomes None or an empty string.

A header comes from anywhere: every value may be missing, of the wrong type, or not a number.
"""

import math
import re
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import (
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    LegacyConvertedEnhancedCTImageStorage,
)

from hilum.dicom.deflated import inflates_too_far
from hilum.study import Instance

BROKEN: Final = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What pydicom raises on files that are no DICOM, or were once."""

GROUPS: Final = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
"""Where an enhanced instance says of a frame what it is, and of all alike."""

KEYWORDS: Final = [
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "StudyDate",
    "Modality",
    "SeriesDescription",
    "ConvolutionKernel",
    "ImageType",
    "InstanceNumber",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "BodyPartExamined",
    "PhotometricInterpretation",
    "BurnedInAnnotation",
    *GROUPS,
]
"""The attributes that are read; the patient's name is none of them."""

ENHANCED: Final = frozenset({EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
"""Objects of many slices, which say of each in functional groups what it is (PS3.3 A.38, A.70)."""

KERNEL_GROUPS: Final = (
    "CTReconstructionSequence",
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)
"""Where an enhanced instance may name its kernel; the latter two hold what conversion left over."""

HOUNSFIELD: Final = frozenset({"HU", ""})
"""RescaleType of frames to read; others are blood flow, iodine or electrons (PS3.3 C.11.1.1.2)."""

UID_PATTERN: Final = re.compile(r"[0-9.]{1,64}")
"""What a UID may hold (PS3.5 9.1), leading zeros of older anonymisers included."""

CODE_STRING: Final = re.compile(r"[A-Z0-9_ ]{1,16}")
"""What a code string may hold (PS3.5 6.2)."""

UNIT_TOLERANCE: Final = 0.01
"""How far direction cosines may be from unit length and a right angle: vendors round them."""

PREAMBLE: Final = 128
"""Bytes of anything before a file begins (PS3.10 7.1)."""

_FIRST_GROUPS = (b"\x08\x00", b"\x02\x00", b"\x00\x08")


@dataclass(frozen=True, slots=True)
class Header:
    """What one instance says of itself and of the series and study it belongs to."""

    study_uid: str
    series_uid: str
    study_date: str
    modality: str
    description: str
    kernel: str
    body_part: str
    photometric: str
    burned_in: str
    instance: Instance


def read_header(path: Path) -> Header | None:
    """Return the header of a DICOM instance; None where the file is not one."""
    dataset = open_dataset(path, keywords=KEYWORDS, stop_before_pixels=True)
    if dataset is None:
        return None
    uids = [uid(dataset, f"{level}InstanceUID") for level in ("Study", "Series", "SOP")]
    if not all(uids):
        return None
    study_uid, series_uid, _ = uids
    return Header(
        study_uid=study_uid,
        series_uid=series_uid,
        study_date=text(dataset, "StudyDate"),
        modality=text(dataset, "Modality").upper(),
        description=text(dataset, "SeriesDescription"),
        kernel=_kernel(dataset),
        body_part=_code_string(dataset, "BodyPartExamined"),
        photometric=_code_string(dataset, "PhotometricInterpretation"),
        burned_in=_code_string(dataset, "BurnedInAnnotation"),
        instance=_instance(dataset, path),
    )


def open_dataset(
    path: Path, *, keywords: list[str] | None = None, stop_before_pixels: bool = False
) -> Dataset | None:
    """Parse a file as DICOM, with or without its preamble; None where it is something else."""
    try:
        if not _looks_like_dicom(path) or inflates_too_far(path):
            return None
        return dcmread(
            path, force=True, specific_tags=keywords, stop_before_pixels=stop_before_pixels
        )
    except BROKEN:
        return None


def _looks_like_dicom(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(PREAMBLE + 4)
    # Old files have no preamble and begin with the first element, of group 0008 or 0002.
    return start[PREAMBLE:] == b"DICM" or start[:2] in _FIRST_GROUPS


def _instance(dataset: Dataset, path: Path) -> Instance:
    whole = Instance(
        sop_instance_uid=uid(dataset, "SOPInstanceUID"),
        path=path,
        transfer_syntax_uid=transfer_syntax(dataset),
        rows=integer(dataset, "Rows") or 0,
        columns=integer(dataset, "Columns") or 0,
        pixel_spacing_mm=None,
        orientation=None,
        position_mm=None,
        has_rescale=rescale(dataset, 0) is not None,
        instance_number=integer(dataset, "InstanceNumber"),
        image_type=_image_type(dataset, "ImageType"),
        sop_class_uid=uid(dataset, "SOPClassUID"),
        frames=max(integer(dataset, "NumberOfFrames") or 1, 1),
    )
    if whole.sop_class_uid in ENHANCED:
        return replace(whole, slices=_slices(dataset, whole))
    return _placed(whole, lambda _group: dataset)


def _placed(instance: Instance, said_in: Callable[[str], Dataset]) -> Instance:
    """Return an instance with its place, read from where each functional group is said."""
    return replace(
        instance,
        pixel_spacing_mm=_spacing(said_in("PixelMeasuresSequence")),
        orientation=_orientation(said_in("PlaneOrientationSequence")),
        position_mm=_position(said_in("PlanePositionSequence")),
    )


# ── Frames ────────────────────────────────────────────────────────────────────────────────────


def _slices(dataset: Dataset, whole: Instance) -> tuple[Instance, ...]:
    described = len(_items(dataset, GROUPS[0]))
    slices = [_slice(dataset, whole, frame) for frame in range(described)]
    if described < whole.frames:
        # One without a place stands for all that are not described, be there a billion of them.
        slices.append(replace(whole, frame=described, has_rescale=False))
    return tuple(slices)


def _slice(dataset: Dataset, whole: Instance, frame: int) -> Instance:
    one = replace(
        whole,
        frame=frame,
        has_rescale=rescale(dataset, frame) is not None,
        image_type=_frame_type(dataset, frame) or whole.image_type,
    )
    return _placed(one, lambda group: functional_group(dataset, frame, group))


def functional_group(dataset: Dataset, frame: int, keyword: str) -> Dataset:
    """Return what a frame, from 0, says of itself, else what all share; empty where neither."""
    for sequence, index in zip(GROUPS, (frame, 0), strict=True):
        groups = _items(dataset, sequence)
        if index < len(groups) and keyword in groups[index]:
            return next(iter(_items(groups[index], keyword)), Dataset())
    return Dataset()


def _items(dataset: Dataset, keyword: str) -> Sequence:
    found = value(dataset, keyword)
    return found if isinstance(found, Sequence) else Sequence()


def rescale(dataset: Dataset, frame: int) -> tuple[float, float] | None:
    """Return slope and intercept to Hounsfield units of a frame; None where there are none."""
    said = dataset
    if uid(dataset, "SOPClassUID") in ENHANCED:
        said = functional_group(dataset, frame, "PixelValueTransformationSequence")
        if text(said, "RescaleType").upper() not in HOUNSFIELD:
            return None
    slope, intercept = number(said, "RescaleSlope"), number(said, "RescaleIntercept")
    return (slope, intercept) if slope and intercept is not None else None


def _frame_type(dataset: Dataset, frame: int) -> tuple[str, ...]:
    group = functional_group(dataset, frame, "CTImageFrameTypeSequence")
    technique = text(group, "VolumeBasedCalculationTechnique").upper()
    return (*_image_type(group, "FrameType"), *({technique} - {"", "NONE"}))


def _kernel(dataset: Dataset) -> str:
    said = [dataset, *(functional_group(dataset, 0, keyword) for keyword in KERNEL_GROUPS)]
    return next(filter(None, (text(each, "ConvolutionKernel") for each in said)), "")


# ── Single values ─────────────────────────────────────────────────────────────────────────────


def value(dataset: Dataset, keyword: str) -> Any:
    """Return a header value as pydicom reads it; None where it cannot."""
    try:
        return dataset.get(keyword)
    except BROKEN:
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """Return a header value as text; "" where absent."""
    found = value(dataset, keyword)
    if isinstance(found, MultiValue):
        found = next(iter(found), None)
    # PostgreSQL's text holds no NUL, and a broken header may.
    return "" if found is None else str(found).replace("\x00", "").strip()


def _code_string(dataset: Dataset, keyword: str) -> str:
    """Return one of the standard's terms; "" for any other text, which could be anything."""
    found = text(dataset, keyword).upper()
    return found if CODE_STRING.fullmatch(found) else ""


def uid(dataset: Dataset, keyword: str) -> str:
    """Return a UID that may safely become a file name; "" where there is none."""
    found = text(dataset, keyword)
    return found if UID_PATTERN.fullmatch(found) else ""


def number(dataset: Dataset, keyword: str) -> float | None:
    """Return a finite number; None where there is none."""
    found = numbers(dataset, keyword, count=1)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """Return a whole number; None where there is none."""
    found = number(dataset, keyword)
    return None if found is None else int(found)


def numbers(dataset: Dataset, keyword: str, *, count: int) -> tuple[float, ...] | None:
    """Return this many finite numbers; None where there are others or fewer."""
    found = value(dataset, keyword)
    many: Iterable[Any] = found if isinstance(found, MultiValue | list | tuple) else [found]
    try:
        floats = tuple(float(each) for each in many)
    except BROKEN:
        return None
    if len(floats) != count or not all(math.isfinite(each) for each in floats):
        return None
    return floats


def transfer_syntax(dataset: Dataset) -> str:
    """Return how the pixels are stored; read off the encoding where the file does not say."""
    found = uid(dataset.file_meta, "TransferSyntaxUID") if hasattr(dataset, "file_meta") else ""
    if found:
        return found
    implicit, little = dataset.original_encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


def _image_type(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    found = value(dataset, keyword)
    many = found if isinstance(found, MultiValue) else [found]
    return tuple(str(each).strip().upper() for each in many if each)


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    found = numbers(dataset, "PixelSpacing", count=2)
    if found is None or min(found) <= 0:
        return None
    return found[0], found[1]


def _position(dataset: Dataset) -> tuple[float, float, float] | None:
    found = numbers(dataset, "ImagePositionPatient", count=3)
    return None if found is None else (found[0], found[1], found[2])


def _orientation(dataset: Dataset) -> tuple[float, float, float, float, float, float] | None:
    found = numbers(dataset, "ImageOrientationPatient", count=6)
    if found is None:
        return None
    row, column = found[:3], found[3:]
    lengths = (math.hypot(*row), math.hypot(*column))
    lean = abs(sum(a * b for a, b in zip(row, column, strict=True)))
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), lean) > UNIT_TOLERANCE:
        return None
    return found[0], found[1], found[2], found[3], found[4], found[5]
