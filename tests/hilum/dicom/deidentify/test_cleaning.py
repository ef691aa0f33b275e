"""What a hostile header holds does not come through."""

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ImplicitVRLittleEndian,
)

from hilum.dicom.deidentify import Deidentifier
from tests.hilum.dicom.deidentify.planted import (
    KEY,
    NAME,
    WORDS,
    left_of,
    raw,
    read_back,
    small,
    treated,
)


def shifted(dataset: Dataset) -> Dataset:
    return Deidentifier(KEY).deidentify(dataset)[0]


@pytest.mark.parametrize(
    ("tag", "vr", "data"),
    [
        (0x00280030, "DS", b"Okonkwo"),
        (0x00200013, "IS", b"Okonkwo"),
        (0x00180015, "CS", b"okonkwo, Adaeze"),
        (0x00080070, "SQ", b"Okonkwo"),
        (0x00280010, "LO", b"Okonkwo"),
        (0x00081140, "LO", b"Okonkwo"),
        (0x00282000, "OB", b"Okonkwo"),
        (0x00081234, "LO", b"Okonkwo"),
        (0x00080000, "UL", b"Okon"),
        (0x00120063, "LO", b"Okonkwo"),
    ],
    ids=lambda value: f"{value:08x}" if isinstance(value, int) else None,
)
def test_what_cannot_be_parsed_or_judged_is_removed(tag: int, vr: str, data: bytes) -> None:
    dataset = small()
    dataset.add(raw(tag, vr, data))

    assert left_of(WORDS, treated(read_back(dataset))) == []


def test_what_is_encrypted_or_signed_goes() -> None:
    dataset = small()
    secret = Dataset()
    secret.EncryptedContentTransferSyntaxUID = ImplicitVRLittleEndian
    secret.EncryptedContent = NAME.encode() + b" "
    dataset.EncryptedAttributesSequence = Sequence([secret])

    assert "EncryptedAttributesSequence" not in shifted(dataset)


def test_a_very_deep_sequence_ends_where_it_is_no_longer_looked_into() -> None:
    dataset, inner = small(), Dataset()
    inner.Manufacturer = "deepest"
    for _ in range(40):
        outer = Dataset()
        outer.AnatomicRegionSequence = Sequence([inner])
        inner = outer
    dataset.AnatomicRegionSequence = inner.AnatomicRegionSequence

    assert b"deepest" not in treated(dataset)


def test_an_item_keeps_its_place_though_nothing_is_left_of_it() -> None:
    dataset, plain, private = small(), Dataset(), Dataset()
    plain.SliceThickness = 1
    private.add_new(0x00091001, "LO", NAME)
    dataset.PerFrameFunctionalGroupsSequence = Sequence([private, plain])

    frames = shifted(dataset).PerFrameFunctionalGroupsSequence

    assert [len(frame) for frame in frames] == [0, 1]


def test_a_sequence_that_must_have_a_value_gets_an_item_that_says_nothing() -> None:
    dataset, performer, code = small(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "77", "99LOCAL", NAME
    performer.PersonIdentificationCodeSequence = Sequence([code])
    dataset.AnatomicRegionSequence = Sequence([performer])

    treated_code = shifted(dataset).AnatomicRegionSequence[0].PersonIdentificationCodeSequence[0]

    assert {element.value for element in treated_code} == {"ANONYMIZED"}
