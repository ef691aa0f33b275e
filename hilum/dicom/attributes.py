# SPDX-License-Identifier: Apache-2.0
"""What others search an object by, in the DICOM JSON model (PS3.18 F), level by level."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Final

from pydicom import dcmread
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from hilum.dicom import header
from hilum.dicom.quiet import quiet

STUDY: Final = (
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "TimezoneOffsetFromUTC",
    "StudyDescription",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
)

SERIES: Final = (
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "SeriesDescription",
    "BodyPartExamined",
    "ProtocolName",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDate",
    "SeriesTime",
)

INSTANCE: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "InstanceNumber",
    "Rows",
    "Columns",
    "BitsAllocated",
    "NumberOfFrames",
)

AVAILABLE_SYNTAX: Final = "00083002"
"""Tag of AvailableTransferSyntaxUID: how the object is kept."""

JSONObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What one object says at each level; every tag is there, without a value where it has none.

    Attributes:
        study, series, instance: `{"00080020": {"vr": "DA", "Value": ["20260102"]}, …}`.
    """

    study: JSONObject
    series: JSONObject
    instance: JSONObject


def read_attributes(source: Path | bytes) -> Attributes:
    """Return the attributes of a DICOM file, or of its bytes; a broken value counts as absent."""
    with quiet():
        if isinstance(source, bytes):
            return _attributes(_parse(io.BytesIO(source)))
        with source.open("rb") as stream:
            return _attributes(_parse(stream))


def _parse(stream: BinaryIO) -> Dataset:
    wanted = ["SpecificCharacterSet", *STUDY, *SERIES, *INSTANCE]
    try:
        return dcmread(stream, force=True, specific_tags=wanted, stop_before_pixels=True)
    except header.BROKEN:
        return Dataset()


def _attributes(dataset: Dataset) -> Attributes:
    instance = _level(dataset, INSTANCE)
    if hasattr(dataset, "file_meta"):
        syntax = header.transfer_syntax(dataset)
        instance[AVAILABLE_SYNTAX] = {"vr": "UI", "Value": [syntax]}
    return Attributes(_level(dataset, STUDY), _level(dataset, SERIES), instance)


def _level(dataset: Dataset, keywords: tuple[str, ...]) -> JSONObject:
    return {tag_of(keyword): _element(dataset, keyword) for keyword in keywords}


def _element(dataset: Dataset, keyword: str) -> JSONObject:
    absent = {"vr": dictionary_VR(keyword)}
    try:
        if keyword not in dataset:
            return absent
        found: JSONObject = _storable(dataset[keyword].to_json_dict(None, 0))
    except header.BROKEN:
        return absent
    return found


def _storable(value: Any) -> Any:
    """Return a JSON value without what PostgreSQL cannot keep: NUL and halves of a character."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {key: _storable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_storable(each) for each in value]
    return value


@cache
def tag_of(keyword: str) -> str:
    """Return the tag of a keyword as DICOM JSON writes it, eight hexadecimal digits.

    Raises:
        KeyError: the standard has no such keyword.
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{tag:08X}"


def text_of(attributes: Mapping[str, Any], keyword: str) -> str | None:
    """Return the first value of an attribute as text, of a name its alphabetic form."""
    values = attributes.get(tag_of(keyword), {}).get("Value") or [None]
    first = values[0]
    if isinstance(first, Mapping):
        first = first.get("Alphabetic")
    return None if first is None else str(first)
