# SPDX-License-Identifier: Apache-2.0
"""Everything an object says, in the DICOM JSON model (PS3.18 F); long values by their address."""

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from hilum.dicom import header
from hilum.dicom.attributes import AVAILABLE_SYNTAX, JSONObject, tag_of
from hilum.dicom.frames import LONGEST_READ, PIXELS, open_header
from hilum.dicom.quiet import quiet
from hilum.dicom.transcode import WORDS, little_endian
from hilum.errors import UnknownObject

LONGEST_INLINE: Final = LONGEST_READ
"""Bytes of a binary value that stands in the JSON itself."""

BINARY: Final = frozenset({"OB", "OB or OW", "UN", *WORDS})
"""Value representations of bytes that are no text and no numbers."""

PLACE: Final = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,5}/[0-9A-Fa-f]{8}){0,8}")
"""Where a value stands: a tag, or a sequence, the index of an item from 0, and so on to a tag."""

UTF_8: Final = {"vr": "CS", "Value": ["ISO_IR 192"]}
"""SpecificCharacterSet of JSON, whatever the file has (PS3.18 F.2.2)."""

Address = Callable[[str], str]
"""Makes the URI of a value from its place."""


def metadata(path: Path, address: Address) -> JSONObject:
    """Return the attributes of a stored object; what is broken is left out.

    Raises:
        UnreadableObject: the file is no DICOM.
    """
    dataset = open_header(path)
    with quiet():
        found = _level(dataset, "", address)
        syntax = header.transfer_syntax(dataset)
    charset = {tag_of("SpecificCharacterSet"): UTF_8}
    return {**charset, **found, **charset, AVAILABLE_SYNTAX: {"vr": "UI", "Value": [syntax]}}


def bulk_value(path: Path, place: str) -> bytes:
    """Return one binary value of a stored object, little endian.

    Raises:
        UnreadableObject: the file is no DICOM.
        UnknownObject: it has no such value.
    """
    if not PLACE.fullmatch(place):
        raise UnknownObject(f"There is no value at {place[:80]!r}.")
    dataset = open_header(path)
    with quiet():
        try:
            element = _at(dataset, place.split("/"))
        except header.BROKEN as error:
            raise UnknownObject(f"There is no value at {place}.") from error
    if not isinstance(element.value, bytes):
        raise UnknownObject(f"The value at {place} is not of bytes.")
    width, (_, is_little) = WORDS.get(element.VR, 1), dataset.original_encoding
    if width > 1 and not is_little:
        return little_endian(element.value, width)
    return element.value


def _at(dataset: Dataset, steps: list[str]) -> DataElement:
    *way, last = steps
    for sequence, index in zip(way[::2], way[1::2], strict=True):
        dataset = dataset[Tag(sequence)].value[int(index)]
    return dataset[Tag(last)]


def _level(dataset: Dataset, place: str, address: Address) -> JSONObject:
    found = {}
    for tag in sorted(dataset.keys()):
        # Lengths of groups and what belongs to the file say nothing of the object.
        if tag.element == 0 or tag.group <= 2:  # noqa: PLR2004 - group of the file meta information
            continue
        try:
            found[f"{tag:08X}"] = _element(dataset, tag, f"{place}{tag:08X}", address)
        except header.BROKEN:
            continue
    return found


def _element(dataset: Dataset, tag: BaseTag, place: str, address: Address) -> JSONObject:
    raw = dataset.get_item(tag, keep_deferred=True)
    vr = _vr(raw)
    if tag in PIXELS or (vr in BINARY and _is_long(raw)):
        # Of two that are possible, the one that holds for any length of a word.
        return {"vr": "OW" if vr == "OB or OW" else vr, "BulkDataURI": address(place)}
    element = dataset[tag]
    if element.VR == "SQ":
        return {"vr": "SQ", "Value": list(_items(element, place, address))}
    said: JSONObject = _finite(element.to_json_dict(None, 0))
    return said


def _items(element: DataElement, place: str, address: Address) -> Iterator[JSONObject]:
    for index, item in enumerate(element.value):
        yield _level(item, f"{place}/{index}/", address)


def _vr(element: RawDataElement | DataElement) -> str:
    if element.VR is not None:
        return str(element.VR)
    # Private attributes without a value representation are bytes of unknown meaning.
    return "UN" if element.tag.is_private else dictionary_VR(element.tag)


def _is_long(element: RawDataElement | DataElement) -> bool:
    # A value that was left in the file is one that was too long to read.
    return element.value is None or len(element.value) > LONGEST_INLINE


def _finite(value: Any) -> Any:
    """Return a JSON value whose numbers are numbers: others are written as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return value
