# SPDX-License-Identifier: Apache-2.0
"""The slices behind a volume, for objects that belong to the same patient and refer to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pydicom.valuerep import DSfloat

from hilum.dicom import header
from hilum.dicom.geometry import Turn
from hilum.dicom.layout import Layout
from hilum.dicom.quiet import quiet
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
)
"""What all objects of a study say alike, empty where it is not known (PS3.3 C.7.1.1, C.7.2.1)."""

WHERE_KNOWN: Final = (
    "IssuerOfPatientID",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SliceThickness",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)
"""What is handed on where a slice says it."""

SEXES: Final = ("M", "F", "O")
"""Values of PatientSex (PS3.3 C.7.1.1)."""

NUMBERS: Final = {
    "PixelSpacing": "pixel_spacing_mm",
    "ImageOrientationPatient": "orientation",
    "ImagePositionPatient": "position_mm",
}
"""Where a slice lies, and what this repository's header of it calls that."""


@dataclass(frozen=True, slots=True)
class Source:
    """The slices a volume was read from.

    Attributes:
        headers: one a slice, [z], without pixels: what derived objects copy and refer to.
        turn: how each stored image was turned upright.
    """

    headers: tuple[Dataset, ...]
    turn: Turn

    def as_stored(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Turn a mask [z, y, x] back to the rows and columns of its slices."""
        return np.ascontiguousarray(self.turn.undo(mask))


def read_source(layout: Layout) -> Source:
    """Make the headers of a grid's slices: patient and study of the first, each its own place.

    Raises:
        UnreadablePixels: the first file has gone since it was laid out.
    """
    first = layout.instances[0]
    with quiet():
        dataset = header.open_dataset(first.path, stop_before_pixels=True)
        if dataset is None:
            raise UnreadablePixels(f"Instance {first.sop_instance_uid} is no longer readable.")
        shared = _shared(dataset)
        headers = tuple(_header(shared, instance) for instance in layout.instances)
    return Source(headers, layout.turn)


def _shared(dataset: Dataset) -> Dataset:
    """Return what all slices say alike, nothing of it invalid.

    Text is decoded here, so the copy is in UTF-8 whatever the scanner wrote.
    """
    shared = Dataset()
    shared.SpecificCharacterSet = "ISO_IR 192"
    shared.Modality = "CT"
    for keyword in (*ALWAYS, *WHERE_KNOWN):
        value = _valid(dataset, keyword)
        if value is not None or keyword in ALWAYS:
            setattr(shared, keyword, value)
    if "FrameOfReferenceUID" not in shared:
        # Slices that name none get one that is theirs alone, and always the same.
        shared.FrameOfReferenceUID = generate_uid(
            prefix=None, entropy_srcs=[shared.SeriesInstanceUID, "frame"]
        )
    return shared


def _header(shared: Dataset, instance: Instance) -> Dataset:
    """Return the header of one slice; what all share is not copied."""
    plain = Dataset()
    plain.update(shared)
    plain.SOPClassUID = instance.sop_class_uid or CTImageStorage
    plain.SOPInstanceUID = instance.sop_instance_uid
    plain.InstanceNumber = instance.instance_number
    plain.ImageType = list(instance.image_type) or ["ORIGINAL", "PRIMARY", "AXIAL"]
    plain.Rows, plain.Columns = instance.rows, instance.columns
    for keyword, name in NUMBERS.items():
        setattr(plain, keyword, _decimals(getattr(instance, name)))
    return plain


def _valid(dataset: Dataset, keyword: str) -> Any:
    """Return a value that the standard allows; None for any other."""
    if keyword == "PatientSex" and header.text(dataset, keyword) not in SEXES:
        return None
    found = header.value(dataset, keyword)
    if found is None or found == "":
        return None
    try:
        return DataElement(
            keyword, dictionary_VR(keyword), found, validation_mode=config.RAISE
        ).value
    except header.BROKEN:
        return None


def _decimals(numbers: Sequence[float]) -> list[DSfloat]:
    return [DSfloat(number, auto_format=True) for number in numbers]
