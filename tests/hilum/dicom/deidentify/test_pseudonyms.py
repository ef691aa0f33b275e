import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from hilum.dicom.deidentify.judgement import is_uid
from hilum.dicom.deidentify.pseudonyms import LONGEST_SHIFT_DAYS, Pseudonyms
from hilum.errors import MissingSetting
from tests.hilum.dicom.deidentify.planted import KEY

NAMES = Pseudonyms(KEY)


def patient(**values: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@given(st.text(min_size=1))
def test_whatever_a_uid_was_it_becomes_a_valid_one(old: str) -> None:
    new = NAMES.uid(old)

    assert is_uid(new)
    assert new.startswith("2.25.")
    assert new == Pseudonyms(KEY).uid(old)
    assert new != Pseudonyms(KEY[::-1]).uid(old)


@given(st.text(max_size=20))
def test_dates_move_back_by_one_day_at_least_and_ten_years_at_most(name: str) -> None:
    shift = NAMES.patient(patient(PatientID=name, StudyInstanceUID="1.2")).shift_days

    assert -LONGEST_SHIFT_DAYS <= shift <= -1


def test_the_same_id_is_the_same_patient_whatever_else_is_said() -> None:
    first = patient(PatientID="4711", PatientName="Okonkwo^A", StudyInstanceUID="1.2")
    second = patient(PatientID=" 4711 ", PatientName="OKONKWO", StudyInstanceUID="1.3")

    assert NAMES.patient(first) == NAMES.patient(second)


def test_the_same_id_of_two_hospitals_is_two_patients() -> None:
    first = patient(PatientID="4711", IssuerOfPatientID="North")
    second = patient(PatientID="4711", IssuerOfPatientID="South")

    assert NAMES.patient(first) != NAMES.patient(second)


def test_without_an_id_name_and_birth_date_tell_patients_apart() -> None:
    one = patient(PatientName="Okonkwo^A", PatientBirthDate="19541203")
    again = patient(PatientName="Okonkwo^A^", PatientBirthDate="19541203")
    other = patient(PatientName="Okonkwo^A", PatientBirthDate="19801203")

    assert NAMES.patient(one) == NAMES.patient(again)
    assert NAMES.patient(one) != NAMES.patient(other)


def test_without_any_of_them_each_study_is_a_patient_of_its_own() -> None:
    one, other = patient(StudyInstanceUID="1.2"), patient(StudyInstanceUID="1.3")

    assert NAMES.patient(one) != NAMES.patient(other)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(MissingSetting, match="has 5 bytes, expected at least 32"):
        Pseudonyms(b"short")
