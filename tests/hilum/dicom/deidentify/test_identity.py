import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from hilum.dicom.deidentify.identity import Identity
from hilum.dicom.deidentify.profile import Option
from hilum.dicom.deidentify.vocabulary import cleaned

NONE: frozenset[Option] = frozenset()


def of(name: str) -> Identity:
    dataset = Dataset()
    dataset.PatientName = name
    return Identity.of(dataset, NONE)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Okonkwo^Adaeze", "seen OKONKWO today"),
        ("Okonkwo^Adaeze", "xx_okonkwo_yy"),
        ("Müller^Jörg", "Mu\u0308ller"),
        ("Müller^Jörg", "MULLER"),
        ("Meier-Schmidt^Eva", "Schmidt, E."),
        ("Li^Wu", "protocol for Li"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "患者山田様"),
    ],
)
def test_a_name_is_found_however_it_is_written(name: str, text: str) -> None:
    assert of(name).is_in(text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Li^Wu", "Lightspeed"),
        ("Okonkwo^A", "A 1.0"),
        ("Okonkwo", "LUNG"),
        ("", "anything"),
    ],
)
def test_what_is_not_the_name_is_left_alone(name: str, text: str) -> None:
    assert not of(name).is_in(text)


def test_a_name_within_a_sequence_counts() -> None:
    item = Dataset()
    item.PersonName = "Okonkwo^Adaeze"
    dataset = Dataset()
    dataset.VerifyingObserverSequence = Sequence([item])

    assert Identity.of(dataset, NONE).is_in("okonkwo")


def test_a_uid_in_a_text_is_found_unless_uids_are_retained() -> None:
    text = "copy of 1.2.840.113619.2.55.3.604"

    assert of("").is_in(text)
    assert not Identity.of(Dataset(), frozenset({Option.RETAIN_UIDS})).is_in(text)
    assert not of("").is_in("version 1.2.3.4")


def test_what_an_option_keeps_identifies_nobody() -> None:
    dataset = Dataset()
    dataset.InstitutionName = "General Hospital"

    assert Identity.of(dataset, NONE).is_in("General Hospital Scanner")
    kept = Identity.of(dataset, frozenset({Option.RETAIN_INSTITUTION}))
    assert not kept.is_in("General Hospital Scanner")


def test_a_patient_who_bears_the_name_of_a_term_does_not_take_it_away() -> None:
    identity = of("Axial^Original")

    assert not identity.is_in_term("AXIAL")
    assert of("Okonkwo").is_in_term("OKONKWO")


def test_short_numbers_are_no_ids() -> None:
    dataset = Dataset()
    dataset.PatientID = "1024"
    long = Dataset()
    long.PatientID = "10240093"

    assert not Identity.of(dataset, NONE).is_number("1024")
    assert Identity.of(long, NONE).is_number("10240093")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Thorax  1.0  B70f", "Thorax 1.0 B70f"),
        ("CT chest w/o contrast, Mrs Okonkwo", "CT chest contrast"),
        ("Lung 5mm born 19541203", "Lung 5mm"),
        ("call 030 123 456", ""),
        ("Okonkwo_chest", ""),
    ],
)
def test_of_a_description_the_words_of_imaging_are_left(text: str, left: str) -> None:
    assert cleaned(text) == left
