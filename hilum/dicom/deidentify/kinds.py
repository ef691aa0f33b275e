# SPDX-License-Identifier: Apache-2.0
"""Which objects may be de-identified, and what each kind cannot be without.

An object is taken when the profile reaches all that may name a patient in it. What people write,
draw or photograph is not: reports, screen shots, documents, ultrasound with its printed margins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SegmentationStorage,
)

from hilum.dicom import header
from hilum.dicom.deidentify.profile import OVERLAYS, Need
from hilum.dicom.quality import WITH_TEXT
from hilum.errors import BurnedInText, NotDeidentifiable


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object.

    Attributes:
        values: keywords of attributes that must have a value: type 1 of PS3.3.
        presences: keywords of attributes that must be there, empty or not: type 2.
    """

    values: frozenset[str] = frozenset()
    presences: frozenset[str] = frozenset()

    def need(self, keyword: str) -> Need:
        """Return what an object of this kind needs of an attribute at its top."""
        if keyword in self.values:
            return Need.VALUE
        return Need.PRESENCE if keyword in self.presences else Need.NOTHING


_SLICE = Kind(
    presences=frozenset(
        {"ContentDate", "ContentTime", "ContrastBolusAgent", "Manufacturer", "PatientSexNeutered"}
    )
    | {"PositionReferenceIndicator"}
)
_DIGITAL_XRAY = Kind(
    values=frozenset({"ReferencedPerformedProcedureStepSequence"}),
    presences=_SLICE.presences | {"AcquisitionContextSequence"},
)
_FRAMES = Kind(
    values=frozenset(
        {
            "AcquisitionDateTime",
            "ContentDate",
            "ContentTime",
            "DeviceSerialNumber",
            "Manufacturer",
            "ManufacturerModelName",
            "ReferencedPerformedProcedureStepSequence",
            "SoftwareVersions",
        }
    ),
    presences=frozenset(
        {
            "AcquisitionContextSequence",
            "ContentDescription",
            "ContrastBolusAgent",
            "PatientSexNeutered",
            "PositionReferenceIndicator",
        }
    ),
)
_PET = Kind(
    values=frozenset({"SeriesDate", "SeriesTime"}),
    presences=_SLICE.presences
    | {"AcquisitionContextSequence", "AcquisitionDate"}
    | {"AcquisitionTime"},
)

KINDS: Final[Mapping[UID, Kind]] = {
    CTImageStorage: _SLICE,
    EnhancedCTImageStorage: _FRAMES,
    LegacyConvertedEnhancedCTImageStorage: _FRAMES,
    ComputedRadiographyImageStorage: _SLICE,
    DigitalXRayImageStorageForPresentation: _DIGITAL_XRAY,
    DigitalXRayImageStorageForProcessing: _DIGITAL_XRAY,
    MRImageStorage: _SLICE,
    PositronEmissionTomographyImageStorage: _PET,
    SegmentationStorage: _FRAMES,
}
"""What is taken; the needs are those of PS3.3 for attributes that are acted on and may be there."""


def kind_of(dataset: Dataset) -> Kind:
    """Return the kind of an object that may be de-identified.

    Raises:
        NotDeidentifiable: it is of another kind.
        BurnedInText: its pixels may show who the patient is.
    """
    sop_class = header.uid(dataset, "SOPClassUID")
    kind = KINDS.get(UID(sop_class))
    if kind is None:
        # A UID that the standard does not know could be anything, a name in digits included.
        name = UID(sop_class).name
        said = name if name != sop_class else "unknown kind"
        raise NotDeidentifiable(
            f"An object of {said or 'no kind'} is not de-identified, expected an image of CT, MR, "
            "PET or X-ray, or a segmentation."
        )
    _check_pixels(dataset)
    return kind


def _check_pixels(dataset: Dataset) -> None:
    if header.text(dataset, "BurnedInAnnotation").upper() not in {"", "NO"}:
        raise BurnedInText("BurnedInAnnotation does not say NO, expected pixels without text.")
    shown = _image_type(dataset) & WITH_TEXT
    if shown:
        raise BurnedInText(
            f"ImageType says {min(shown)}, expected pixels that no program wrote on."
        )
    if "ConversionType" in dataset:
        raise BurnedInText("ConversionType is there: the image was captured or scanned from paper.")
    if any(_is_within_pixels(dataset, group) for group in OVERLAYS[::2]):
        raise BurnedInText("An overlay lies within the pixels, expected pixels of an image alone.")


def _image_type(dataset: Dataset) -> set[str]:
    found = header.value(dataset, "ImageType")
    many = [found] if isinstance(found, str) else found or []
    return {str(each).strip().upper() for each in many}


def _is_within_pixels(dataset: Dataset, group: int) -> bool:
    """Tell whether an overlay uses spare bits of the pixels, as old scanners did (PS3.3 C.9.2)."""
    tag, data = group << 16 | 0x0100, group << 16 | 0x3000
    return tag in dataset and data not in dataset
