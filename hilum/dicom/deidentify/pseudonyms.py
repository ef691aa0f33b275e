# SPDX-License-Identifier: Apache-2.0
"""Who and what is called what instead: everything follows from a key, so it is the same each time.

Without the key nobody finds the way back, nor can try known names until one fits.
"""

import hmac
from base64 import b32encode
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from pydicom.dataset import Dataset

from hilum.dicom import header
from hilum.errors import MissingSetting

KEY_BYTES: Final = 32
"""Least length of a key: that of the hash, below which keys are easier to try."""

LONGEST_SHIFT_DAYS: Final = 3650
"""Ten years: enough to hide a day, and little enough that an examination stays of its time."""

PREFIX: Final = "DEID-"
"""What a patient's pseudonym begins with, so that nobody takes it for a patient ID."""


@dataclass(frozen=True, slots=True)
class Patient:
    """A patient as the outside knows them.

    Attributes:
        pseudonym: in place of name and patient ID.
        shift_days: what every date of theirs is moved by; always back, never into the future.
    """

    pseudonym: str
    shift_days: int


class Pseudonyms:
    """New names by keyed hash, HMAC-SHA-256."""

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise MissingSetting(
                f"The key for pseudonyms has {len(key)} bytes, expected at least {KEY_BYTES}."
            )
        self._key = key

    def uid(self, old: str) -> str:
        """Return the UID that stands for another one, below 2.25 (PS3.5 B.2)."""
        digest = self._digest("uid", old)
        # The standard derives such a UID from a UUID, and one made of a hash is of version 5.
        return f"2.25.{UUID(bytes=digest[:16], version=5).int}"

    def patient(self, dataset: Dataset) -> Patient:
        """Return who the patient of an object is to the outside."""
        digest = self._digest("patient", *_known_by(dataset))
        name = b32encode(digest[:10]).decode("ascii")
        days = 1 + int.from_bytes(digest[16:32], "big") % LONGEST_SHIFT_DAYS
        return Patient(f"{PREFIX}{name}", -days)

    def _digest(self, *parts: str) -> bytes:
        # Lengths keep two lists of parts apart that read alike end to end.
        message = "".join(f"{len(part)}:{part}" for part in parts)
        return hmac.digest(self._key, message.encode("utf-8", "surrogatepass"), "sha256")


def _known_by(dataset: Dataset) -> tuple[str, ...]:
    """Return what makes a patient the same one in two objects: an ID goes before a name."""
    patient_id = header.text(dataset, "PatientID")
    if patient_id:
        return "id", patient_id, header.text(dataset, "IssuerOfPatientID")
    name = header.text(dataset, "PatientName").rstrip("^ ")
    if name:
        return "name", name, header.text(dataset, "PatientBirthDate")
    return "study", header.text(dataset, "StudyInstanceUID")
