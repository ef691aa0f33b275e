"""Objects that name people wherever a name can be, and what must not be left of them."""

import io
from collections.abc import Iterable
from copy import deepcopy
from functools import cache

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from hilum.dicom.deidentify import Deidentifier
from hilum.dicom.deidentify.deidentifier import encoded
from hilum.dicom.quiet import quiet
from tests.phantoms import chest

KEY = b"a key of which nobody knows anything at all"

NAME = "Okonkwo^Adaeze^Blessing"
PATIENT_ID = "MRN-0093321-X"
PHYSICIAN = "Featherstonehaugh^Percival"
ACCESSION = "ACC7741902B"

WORDS = ("Okonkwo", "Adaeze", "Blessing", PATIENT_ID, "Featherstonehaugh", "Percival", ACCESSION)
"""What an object of `named` must not say any more."""


@cache
def slices() -> tuple[Dataset, ...]:
    """Return the slices of a phantom; never write to them."""
    return tuple(chest().datasets())


@cache
def tiny() -> Dataset:
    """Return a slice of few pixels; never write to it."""
    dataset = named()
    dataset.Rows = dataset.Columns = 4
    dataset.PixelData = bytes(32)
    return dataset


def named(number: int = 0) -> Dataset:
    """Return a slice of a phantom that names its patient where it should."""
    dataset = deepcopy(slices()[number])
    dataset.PatientName = NAME
    dataset.PatientID = PATIENT_ID
    dataset.PatientBirthDate = "19541203"
    dataset.PatientSex = "F"
    dataset.PatientAge = "065Y"
    dataset.PatientWeight = "71.5"
    dataset.ReferringPhysicianName = PHYSICIAN
    dataset.AccessionNumber = ACCESSION
    dataset.InstitutionName = "Hospital of Nowhere"
    dataset.Manufacturer = "ACME"
    dataset.ManufacturerModelName = "Scanner 3000"
    dataset.DeviceSerialNumber = "SN-12"
    return dataset


def small() -> Dataset:
    """Return the same with few pixels, for tests that make hundreds."""
    return deepcopy(tiny())


def raw(tag: int, vr: str, data: bytes) -> RawDataElement:
    """Return an element of any bytes, which pydicom takes as if it had read them."""
    padded = data + b" " * (len(data) % 2)
    return RawDataElement(Tag(tag), vr, len(padded), padded, 0, False, True)


def read_back(dataset: Dataset) -> Dataset:
    """Return an object as it is read from a file."""
    return dcmread(io.BytesIO(as_file(dataset)), force=True)


def as_file(dataset: Dataset) -> bytes:
    file = io.BytesIO()
    with quiet():
        dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def treated(dataset: Dataset, deidentifier: Deidentifier | None = None) -> bytes:
    """Return an object without its patient, as a file."""
    cleaned, _ = (deidentifier or Deidentifier(KEY)).deidentify(dataset)
    return encoded(cleaned)


def left_of(words: Iterable[str], data: bytes) -> list[str]:
    """Return the words that bytes still say, in any case and in the usual encodings."""
    low = data.lower()
    return [
        word
        for word in words
        for form in {word, word.upper(), word.lower()}
        for encoding in ("utf-8", "latin-1", "gb18030")
        if form.encode(encoding, "ignore").lower() in low and form.encode(encoding, "ignore")
    ]
