# SPDX-License-Identifier: Apache-2.0
"""What the values of attributes are made of: which can be judged, and what stands in for them.

The profile's table lists what is known to identify. A value that it does not name is kept only if
its kind cannot hold a name, or if it belongs to the attributes that are listed here.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR
from pydicom.multival import MultiValue

TEXTS: Final = frozenset({"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
TEMPORAL: Final = frozenset({"DA", "DT", "TM"})
NUMBERS: Final = frozenset({"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
DECIMALS: Final = frozenset({"DS", "IS"})
BINARY: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
"""Value representations by what can be hidden in them (PS3.5 6.2)."""

SAFE_TEXTS: Final = frozenset(
    {
        # What took the picture, and how: written by the scanner, not by people.
        "AcquisitionDeviceProcessingCode",
        "AttenuationCorrectionMethod",
        "CardiacFramingType",
        "CollimatorGridName",
        "ContrastBolusRoute",
        "ConvolutionKernel",
        "DetectorLinesOfResponseUsed",
        "DetectorManufacturerModelName",
        "DetectorManufacturerName",
        "DimensionDescriptionLabel",
        "FilterType",
        "ImagedNucleus",
        "ImageFilter",
        "LUTExplanation",
        "LUTLabel",
        "Manufacturer",
        "ManufacturerModelName",
        "ManufacturerModelVersion",
        "ModalityLUTType",
        "PhosphorType",
        "PlateType",
        "PositionReferenceIndicator",
        "Radiopharmaceutical",
        "RadiopharmaceuticalRoute",
        "ReceiveCoilName",
        "ReconstructionMethod",
        "RescaleType",
        "ScatterCorrectionMethod",
        "SequenceName",
        "SoftwareVersions",
        "StackID",
        "TransmitCoilName",
        "WindowCenterWidthExplanation",
        # Codes, of which an object is invalid without its meaning (PS3.3 8.8).
        "CodeMeaning",
        "CodeValue",
        "CodingSchemeDesignator",
        "CodingSchemeVersion",
        "LongCodeValue",
        "MappingResourceName",
        "URNCodeValue",
        # What a network segmented (PS3.3 C.8.20.4).
        "AlgorithmName",
        "AlgorithmVersion",
        "SegmentAlgorithmName",
        "SegmentLabel",
    }
)
"""Keywords of texts outside the table that are kept, unless they name the patient."""

NEEDED_TEXTS: Final = frozenset({"TrackingID"})
"""Keywords of texts outside the table that are written by people and that an object must have."""

SAFE_BINARY: Final = frozenset(
    {
        "BluePaletteColorLookupTableData",
        "DoubleFloatPixelData",
        "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths",
        "FloatPixelData",
        "GreenPaletteColorLookupTableData",
        "LUTData",
        "PixelData",
        "RedPaletteColorLookupTableData",
        "SegmentedBluePaletteColorLookupTableData",
        "SegmentedGreenPaletteColorLookupTableData",
        "SegmentedRedPaletteColorLookupTableData",
    }
)
"""Keywords of bytes that are kept: pixels and what displays them."""

TERMS: Final = frozenset(
    """
    AXIAL BLACK CC CHEST COLOR COR CORRECTED CR CT CW DERIVED DX FFDL FFDR FFP FFS FRACTIONAL
    HFDL HFDR HFP HFS HU IDENTITY LIN LINEAR LOCALIZER LUNG LUNGS MAMMO MONOCHROME1 MONOCHROME2
    MPR MR NO NONE NORMAL OFF ON ORIGINAL PALETTE PRIMARY PT RECON RESAMPLED RGB SECONDARY SEG
    THORAX VOLUME WHITE YES
    """.split()  # noqa: SIM905 - a list would take one line a word
)
"""Defined terms of code strings, which stay what they are even if a patient bears such a name."""

DUMMY: Final = "ANONYMIZED"
"""Short enough for each kind of text."""

_DUMMIES: Final[Mapping[str, Any]] = {
    "AS": "000Y",
    "AT": 0,
    "CS": DUMMY,
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "FD": 0.0,
    "FL": 0.0,
    "IS": "0",
    "TM": "000000",
    "UR": "urn:oid:2.25.0",
}


def vr_of(tag: int) -> str | None:
    """Return the value representations that the standard gives an attribute; None for unknown."""
    return dictionary_VR(tag) if dictionary_has_tag(tag) else None


def keyword_of(tag: int) -> str:
    """Return the keyword of an attribute, "" for unknown."""
    return dictionary_keyword(tag) if dictionary_has_tag(tag) else ""


def is_kin(found: str, expected: str) -> bool:
    """Tell whether a value is of the kind that its attribute should have.

    Vendors mix up texts of different lengths and numbers of different widths; both are harmless,
    while a text in place of a sequence is none that could be judged.
    """
    # Without a VR in the file some are undecided until it is written: "OB or OW".
    some, others = set(found.split(" or ")), set(expected.split(" or "))
    return bool(some & others) or any(
        some & family and others & family for family in (TEXTS, NUMBERS, BINARY)
    )


def is_cleanable(vr: str) -> bool:
    """Tell whether a value can be cleaned: dates move, words are picked, names and codes cannot."""
    return vr in TEMPORAL or vr in TEXTS - {"AE", "PN", "UR"}


def each(value: Any) -> list[str]:
    """Return the values of a textual attribute as texts."""
    many = value if isinstance(value, MultiValue | list | tuple) else [value]
    return ["" if one is None else str(one) for one in many]


def dummy(vr: str) -> Any:
    """Return a value that says nothing, of a value representation other than SQ and UI."""
    first = vr[:2]
    if first in BINARY:
        return b"\x00\x00"
    return _DUMMIES.get(first, 0 if first in NUMBERS else DUMMY)
