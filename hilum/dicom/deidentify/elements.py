# SPDX-License-Identifier: Apache-2.0
"""The elements of a dataset that can be judged: of the standard, and readable."""

from collections.abc import Iterator
from typing import Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from hilum.dicom.deidentify.values import is_kin, vr_of
from hilum.dicom.header import BROKEN

FIRST: Final = 0x0008_0000
LAST: Final = 0xFFFC_0000
"""Between them lies a dataset; before and behind are commands, file meta and delimiters."""

DEEPEST: Final = 16
"""Sequences within sequences that are looked into; the standard's own go six deep."""


def readable(dataset: Dataset) -> Iterator[DataElement]:
    """Yield the elements that can be judged, by tag."""
    for tag in tags(dataset):
        element = read(dataset, tag)
        if element is not None:
            yield element


def tags(dataset: Dataset) -> list[int]:
    """Return every tag of a dataset in order, readable or not."""
    return sorted(int(tag) for tag in dataset.keys())  # noqa: SIM118 - a Dataset iterates elements


def read(dataset: Dataset, tag: int) -> DataElement | None:
    """Return an element; None where it is none of the standard's or cannot be parsed."""
    expected = vr_of(tag)
    if expected is None or not FIRST < tag < LAST or tag & 0xFFFF == 0:
        return None
    try:
        element = dataset[tag]
    except BROKEN:
        return None
    return element if is_kin(element.VR, expected) else None
