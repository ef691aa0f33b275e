import pytest

from hilum.dicom.matching import Between, Like, Match, OneOf, match_of
from hilum.errors import InvalidRequest


@pytest.mark.parametrize(
    ("keyword", "value", "match"),
    [
        ("StudyDate", "20200401", Between("20200401", "20200401")),
        ("StudyDate", " 20200401- ", Between("20200401", None)),
        ("StudyTime", "1030", Between("1030", "103059.999999")),
        ("StudyTime", "-11", Between(None, "115959.999999")),
        ("StudyTime", "103000.25-103000.5", Between("103000.25", "103000.599999")),
        ("PatientName", "Doe^John^^", Like("Doe^John", any_case=True)),
        ("PatientName", "*", None),
        ("PatientID", "A*1?", Like("A*1?")),
        ("PatientID", "A,1", OneOf(("A,1",))),
        ("PatientID", "**", None),
        ("PatientSex", "F\\M", OneOf(("F", "M"))),
        ("Modality", "C*", Like("C*")),
        ("StudyInstanceUID", "1.2,,1.3\\", OneOf(("1.2", "1.3"))),
        ("StudyInstanceUID", ",", None),
        ("SeriesNumber", "-07", OneOf(("-7",))),
        ("StudyDescription", "", None),
    ],
)
def test_value_of_a_key_is_read_by_its_kind(keyword: str, value: str, match: Match | None) -> None:
    assert match_of(keyword, value) == match


@pytest.mark.parametrize(
    ("keyword", "value", "complaint"),
    [
        ("StudyDate", "20200230", "StudyDate is '20200230', expected YYYYMMDD or a range"),
        ("StudyDate", "-", "expected a value on one side"),
        ("StudyTime", "1060", "expected HHMMSS"),
        ("SeriesNumber", "1.0", "expected a whole number"),
        ("StudyInstanceUID", "1.2.x", "expected UIDs"),
        ("StudyInstanceUID", ",".join(["1.2"] * 501), "has 501 values, expected at most 500"),
        ("PatientID", "x" * 257, "has 257 characters, expected at most 256"),
        ("PatientName", "x\x00", "holds a NUL"),
    ],
)
def test_value_that_its_attribute_cannot_have_is_refused(
    keyword: str, value: str, complaint: str
) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        match_of(keyword, value)
