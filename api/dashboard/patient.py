# SPDX-License-Identifier: Apache-2.0
"""Whose study it is, for those who may know."""

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from db.tables import StudyRow
from hilum.dicom.attributes import tag_of

DAY: Final = re.compile(r"^(\d{4})(\d{2})(\d{2})$")
"""A date as DICOM writes it (PS3.5 6.2, DA)."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What a study says of its patient; each is empty where it says nothing.

    Attributes:
        name: as people write it: the parts that DICOM divides by carets, by spaces.
        number: of the patient in the hospital.
        born: date of birth, as 1960-01-31; as it stands where it is no date.
        sex: M, F or O.
        accession_number: of the request for the examination.
    """

    name: str
    number: str
    born: str
    sex: str
    accession_number: str

    @classmethod
    def of(cls, study: StudyRow) -> Self:
        """Read them from what is kept of a study."""
        return cls(
            name=name_of(_value(study, "PatientName")),
            number=study.patient_id or "",
            born=DAY.sub(r"\1-\2-\3", str(_value(study, "PatientBirthDate") or "")),
            sex=str(_value(study, "PatientSex") or ""),
            accession_number=study.accession_number or "",
        )


def name_of(value: Any) -> str:
    """Return a name as people write it; empty for None.

    Args:
        value: of the attribute PatientName, as DICOM JSON has it.
    """
    # DICOM JSON (PS3.18 F.2.2) has a name as an object of up to three ways to write it.
    text = value.get("Alphabetic", "") if isinstance(value, dict) else str(value or "")
    return " ".join(part for part in text.split("^") if part)


def _value(study: StudyRow, keyword: str) -> Any:
    values = (study.attributes or {}).get(tag_of(keyword), {}).get("Value") or [None]
    return values[0]
