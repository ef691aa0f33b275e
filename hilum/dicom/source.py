# SPDX-License-Identifier: Apache-2.0
"""The slices behind a volume, for objects that belong to the same patient and refer to them.

Headers come from anywhere, and a library that makes an object of them breaks off at the first value
that is not the standard's. What is handed on here never does.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pydicom.valuerep import DA, TM, DSfloat

from hilum.dicom import geometry, header
from hilum.dicom.geometry import Turn
from hilum.dicom.layout import Layout
from hilum.dicom.quiet import quiet
from hilum.dicom.uids import uid_of
from hilum.errors import UnreadablePixels
from hilum.study import Instance

ALWAYS: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "SeriesInstanceUID",
    "SliceThickness",
)
"""What objects of a study say alike, empty where it is not known (PS3.3 C.7.1.1, C.7.2.1)."""

WHERE_KNOWN: Final = (
    "IssuerOfPatientID",
    "StudyDescription",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "BurnedInAnnotation",
)
"""What is handed on where a slice says it."""

TERMS: Final = {"PatientSex": ("M", "F", "O"), "BurnedInAnnotation": ("YES", "NO")}
"""Values of code strings; any other is as good as none."""


@dataclass(frozen=True, slots=True)
class Source:
    """The slices a volume was read from.

    Attributes:
        headers: one a slice, [z], without pixels: what derived objects copy and refer to. Slices
            that are frames of one instance bear its UID.
        turn: how each stored image was turned upright.
        frame_numbers: which frame of its instance each slice is, from 1, [z]; empty where each
            instance is one slice.
    """

    headers: tuple[Dataset, ...]
    turn: Turn
    frame_numbers: tuple[int, ...] = ()

    def as_stored(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a mask [z, y, x] back to the rows and columns of its slices."""
        return np.ascontiguousarray(self.turn.undo(mask))

    def instances(self) -> list[Dataset]:
        """Return a header for each instance, which may hold many slices."""
        return list({one.SOPInstanceUID: one for one in self.headers}.values())


def read_source(layout: Layout) -> Source:
    """Make the headers of a grid's slices: all alike as the grid has them, but for their place.

    Raises:
        UnreadablePixels: the first file has gone since it was laid out.
    """
    first = layout.instances[0]
    with quiet():
        dataset = header.open_dataset(
            first.path,
            keywords=["SpecificCharacterSet", *ALWAYS, *WHERE_KNOWN, *header.GROUPS],
            stop_before_pixels=True,
        )
        if dataset is None:
            raise UnreadablePixels(f"Instance {first.sop_instance_uid} is no longer readable.")
        shared = _shared(dataset, first)
        if shared.SliceThickness is None:
            # An object of frames must say one; slices that touch are as thick as they are apart.
            shared.SliceThickness = DSfloat(_step_mm(layout), auto_format=True)
        headers = tuple(_header(shared, instance) for instance in layout.instances)
    frames = tuple(instance.frame + 1 for instance in layout.instances)
    return Source(headers, layout.turn, frames)


def _shared(dataset: Dataset, first: Instance) -> Dataset:
    """Return what all slices say alike.

    Text is decoded here, so the copy is in UTF-8 whatever the scanner wrote.
    """
    shared = Dataset()
    shared.SpecificCharacterSet = "ISO_IR 192"
    shared.Modality = "CT"
    for keyword in (*ALWAYS, *WHERE_KNOWN):
        value = usable(dataset, keyword)
        if value is not None or keyword in ALWAYS:
            setattr(shared, keyword, value)
    if first.sop_class_uid in header.ENHANCED:
        measures = header.functional_group(dataset, first.frame, "PixelMeasuresSequence")
        shared.SliceThickness = usable(measures, "SliceThickness")
    if "FrameOfReferenceUID" not in shared:
        shared.FrameOfReferenceUID = uid_of("frame of reference", shared.SeriesInstanceUID)
    shared.Rows, shared.Columns = first.rows, first.columns
    shared.PixelSpacing = _decimals(first.pixel_spacing_mm)
    # Cosines that differ in a last digit are one orientation to the grid, and two to a library.
    shared.ImageOrientationPatient = _decimals(first.orientation)
    return shared


def _header(shared: Dataset, instance: Instance) -> Dataset:
    plain = Dataset()
    plain.update(shared)
    # Whatever a slice in between says: the series was chosen as CT.
    enhanced = instance.sop_class_uid in header.ENHANCED
    plain.SOPClassUID = instance.sop_class_uid if enhanced else CTImageStorage
    plain.SOPInstanceUID = instance.sop_instance_uid
    plain.ImagePositionPatient = _decimals(instance.position_mm)
    return plain


def _step_mm(layout: Layout) -> float:
    """Return the mean distance of neighbouring slices along their normal."""
    first, last = layout.instances[0], layout.instances[-1]
    low, high = geometry.heights_mm([first, last], geometry.normal(first))
    return float(high - low) / (len(layout.instances) - 1)


def usable(dataset: Dataset, keyword: str) -> Any:
    """Return a single value that an object may carry; None where there is none.

    Identifiers go on as they are, even too long ones: cut or left out, they would name another
    patient.
    """
    kind = dictionary_VR(keyword)
    if kind == "UI":
        return header.uid(dataset, keyword) or None
    if kind == "DS":
        number = header.number(dataset, keyword)
        return None if number is None else DSfloat(number, auto_format=True)
    found = header.text(dataset, keyword)
    if not found or found not in TERMS.get(keyword, (found,)):
        return None
    return found if kind not in PARSERS else _parsed(found, PARSERS[kind])


PARSERS: Final = {"DA": DA, "TM": TM}
"""Kinds of text that are not all valid."""


def _parsed(found: str, parse: Any) -> Any:
    try:
        return parse(found)
    except header.BROKEN:
        return None


def _decimals(numbers: tuple[float, ...] | None) -> list[DSfloat]:
    return [DSfloat(number, auto_format=True) for number in numbers or ()]
