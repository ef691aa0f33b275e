# SPDX-License-Identifier: Apache-2.0
"""A DICOM object without its patient: the profile from end to end."""

import io
from typing import Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from hilum.dicom import header
from hilum.dicom.deidentify.account import Account
from hilum.dicom.deidentify.cleaning import Cleaner
from hilum.dicom.deidentify.identity import Identity
from hilum.dicom.deidentify.kinds import kind_of
from hilum.dicom.deidentify.profile import BASIC_CODE, CODES, EDITION, Option
from hilum.dicom.deidentify.pseudonyms import Patient, Pseudonyms
from hilum.dicom.header import BROKEN
from hilum.dicom.quiet import quiet
from hilum.errors import InvalidRequest, NotDeidentifiable

DEFAULT_OPTIONS: Final = frozenset({Option.RETAIN_MODIFIED_DATES})
"""Dates are shifted: a course of illness keeps its intervals."""

NEEDED: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
"""Without these nobody could say which object was treated."""


class Deidentifier:
    """The profile under one key and one set of options; threads may share it."""

    def __init__(self, key: bytes, options: frozenset[Option] = DEFAULT_OPTIONS) -> None:
        """Check key and options.

        Raises:
            MissingSetting: the key is too short to keep anybody from trying all of them.
            InvalidRequest: dates cannot be retained both as they are and shifted.
        """
        if options >= {Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES}:
            raise InvalidRequest(
                "Dates are retained in full and modified, expected one of the two."
            )
        self.options = options
        self._pseudonyms = Pseudonyms(key)

    def deidentify(self, dataset: Dataset) -> tuple[Dataset, Account]:
        """Return an object without its patient, and what was done; the one given stays as it is.

        Raises:
            NotDeidentifiable: the profile does not reach what it holds, or it cannot be told apart.
            BurnedInText: its pixels may show who the patient is.
        """
        with quiet():
            _check_uids(dataset)
            kind = kind_of(dataset)
            patient = self._pseudonyms.patient(dataset)
            identity = Identity.of(dataset, self.options)
            cleaner = Cleaner(self.options, self._pseudonyms, patient, identity, kind)
            cleaned = cleaner.clean(dataset)
            self._mark(cleaned, patient)
            cleaned.file_meta = _file_meta(dataset, cleaned)
        return cleaned, cleaner.tally.close()

    def _mark(self, dataset: Dataset, patient: Patient) -> None:
        """Say in a dataset what was done to it (PS3.15 E.1.1, PS3.3 C.7.1.1 and C.12.1)."""
        # Texts were decoded on their way, whatever they were written in.
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.PatientName = dataset.PatientID = patient.pseudonym
        dataset.PatientIdentityRemoved = "YES"
        dataset.DeidentificationMethod = f"Hilum, Basic Profile of PS3.15 {EDITION}"
        codes = [BASIC_CODE, *(CODES[option] for option in Option if option in self.options)]
        dataset.DeidentificationMethodCodeSequence = Sequence(_code(*code) for code in codes)
        dataset.LongitudinalTemporalInformationModified = self._dates()

    def _dates(self) -> str:
        if Option.RETAIN_FULL_DATES in self.options:
            return "UNMODIFIED"
        return "MODIFIED" if Option.RETAIN_MODIFIED_DATES in self.options else "REMOVED"


def encoded(dataset: Dataset) -> bytes:
    """Return an object as a DICOM file with an empty preamble, in the syntax of its file meta.

    Raises:
        NotDeidentifiable: what is left of it cannot be written.
    """
    file = io.BytesIO()
    try:
        with quiet():
            dataset.save_as(file, enforce_file_format=True)
    except BROKEN:
        # Without its cause, which may quote a value.
        raise NotDeidentifiable("What is left of the object cannot be written.") from None
    return file.getvalue()


def _check_uids(dataset: Dataset) -> None:
    for keyword in NEEDED:
        if not header.text(dataset, keyword):
            raise NotDeidentifiable(f"The object has no {keyword}, expected its three UIDs.")


def _file_meta(old: Dataset, new: Dataset) -> FileMetaDataset:
    """Return file meta information of nothing but the object: who sent it goes (PS3.10 7.1)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = new.SOPClassUID
    meta.MediaStorageSOPInstanceUID = new.SOPInstanceUID
    meta.TransferSyntaxUID = _transfer_syntax(old)
    return meta


def _transfer_syntax(dataset: Dataset) -> UID:
    is_said = "TransferSyntaxUID" in getattr(dataset, "file_meta", ())
    # An object that was made in memory has no encoding yet; any will do.
    is_known = is_said or dataset.original_encoding[1] is not None
    found = UID(header.transfer_syntax(dataset)) if is_known else ExplicitVRLittleEndian
    if not found.is_transfer_syntax:
        raise NotDeidentifiable("The object is in no transfer syntax of the standard.")
    return found


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodeMeaning = value, meaning
    code.CodingSchemeDesignator = "DCM"
    return code
