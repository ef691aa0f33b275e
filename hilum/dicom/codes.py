# SPDX-License-Identifier: Apache-2.0
"""Coded concepts of result objects, as PS3.16 has them, and our own where it has none.

Schemes: SCT is SNOMED CT, DCM is DICOM, LN is LOINC, 99HILUM is ours; what begins with 99 is private
(PS3.16 8.2).
"""

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from hilum.catalogue import Label
from hilum.findings import LEFT_LUNG, RIGHT_LUNG

OWN: Final = "99HILUM"
"""Scheme of the concepts below that no standard has."""

ABNORMAL: Final = codes.SCT.MorphologicallyAbnormalStructure
"""Category of every lesion (CID 7150)."""

LUNG: Final = codes.SCT.Lung
"""Where every lesion lies (CID 4)."""

SIDES: Final = {RIGHT_LUNG: codes.SCT.Right, LEFT_LUNG: codes.SCT.Left}
"""Laterality of each value of a lung mask (CID 244)."""

ARTIFICIAL_INTELLIGENCE: Final = codes.DCM.ArtificialIntelligence
"""Family of the networks (CID 7162)."""

CT_CHEST: Final = Code("24627-2", "LN", "CT Chest")
"""The procedure that is reported on."""

VOLUME: Final = codes.SCT.Volume
CUBIC_CENTIMETRE: Final = codes.UCUM.CubicCentimeter
"""A millilitre by the name that CID 7181 has for it."""

ATTENUATION: Final = codes.DCM.AttenuationCoefficient
HOUNSFIELD_UNIT: Final = codes.UCUM.HounsfieldUnit
MEAN: Final = codes.SCT.Mean
PERCENT: Final = codes.UCUM.Percent

LUNG_VOLUME: Final = Code("lung-volume", OWN, "Volume of lung, lesions included")
LESION_VOLUME: Final = Code("lesion-volume", OWN, "Volume of all lesions")
LESION_SHARE: Final = Code("lesion-share", OWN, "Lesion volume over lung volume")
SEGMENT_SHARE: Final = Code("segment-share", OWN, "Segment volume over volume of both lungs")
GRADE: Final = Code("grade", OWN, "Severity by share of lung affected")
VERDICT: Final = Code("verdict", OWN, "Verdict for the patient")
REVIEW: Final = Code("review", OWN, "A person is asked to look before use")
YES: Final = codes.SCT.Yes
NO: Final = codes.SCT.No


def lesion_code(label: Label) -> Code:
    """Return the concept of a lesion class."""
    value, scheme = label.code
    return Code(value, scheme, label.name.capitalize())


def own_code(name: str) -> Code:
    """Return a grade or a verdict as a concept: its name is its value."""
    return Code(name, OWN, name)


def own_scheme() -> Dataset:
    """Return the item that says whose scheme `OWN` is (PS3.3 C.12.1.1.6)."""
    item = Dataset()
    item.CodingSchemeDesignator = OWN
    item.CodingSchemeName = "Concepts of Hilum's reports"
    item.CodingSchemeResponsibleOrganization = "Hilum"
    return item


def code_item(code: Code) -> Dataset:
    """Return a concept as an item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator
    item.CodeMeaning = code.meaning
    return item
