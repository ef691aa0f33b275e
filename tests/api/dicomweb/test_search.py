import pytest

from tests.api.caller import Caller
from tests.api.dicomweb.place import ROOT, Place, get, values
from tests.api.dicomweb.ward import STUDIES, names

STUDY_CASES = {
    "": "JAE",
    "PatientID=A-1": "A",
    "00100020=A-1": "A",
    "PatientID=a-1": "",
    "PatientID=E": "",
    "PatientID=J%252": "J",
    "PatientID=J%25*": "J",
    "PatientID=%25*": "",
    "PatientID=A?1": "A",
    "PatientID=_-1": "",
    "PatientID=*-*": "A",
    "PatientID=": "JAE",
    "PatientID=*": "JAE",
    "PatientName=doe^john": "J",
    "PatientName=M%C3%9CLLER*": "A",
    "PatientName=*anna*": "A",
    "PatientName=Doe": "",
    "PatientName=D?e^*": "J",
    "ReferringPhysicianName=house*": "A",
    "StudyDate=20200401": "A",
    "StudyDate=20200401-20210315": "JA",
    "StudyDate=-20200401": "AE",
    "StudyDate=20200402-": "J",
    "StudyDate=20200402-20200403": "",
    "StudyDate=": "JAE",
    "StudyTime=080000": "A",
    "StudyTime=0800-1430": "JA",
    "StudyTime=0800-1429": "A",
    "StudyTime=-09": "A",
    "StudyTime=143059": "J",
    "PatientBirthDate=19500102": "A",
    "PatientBirthDate=19600101-": "J",
    "PatientSex=F": "A",
    "PatientSex=F,M": "JA",
    "AccessionNumber=ACC_1": "A",
    "AccessionNumber=ACC*": "JA",
    "AccessionNumber=ACC?1": "A",
    "StudyDescription=C%3F%20*": "JA",
    "StudyID=2": "J",
    "ModalitiesInStudy=CR": "J",
    "ModalitiesInStudy=CT": "AE",
    "ModalitiesInStudy=CT%5CCR": "JAE",
    "ModalitiesInStudy=C*": "JAE",
    "ModalitiesInStudy=SEG": "",
    "PatientSex=F&ModalitiesInStudy=CR": "",
    "PatientSex=M&StudyDate=2021-": None,
    "offset=1": "AE",
    "limit=1&offset=1": "A",
    "limit=0": "",
    "offset=17": "",
}
"""Query of a search for studies, and who is found, the last to come first; None is refused."""


def test_studies_are_found_by_every_key(caller: Caller, ward: dict[str, Place]) -> None:
    answers = {query: caller.get(f"{STUDIES}?{query}") for query in STUDY_CASES}

    found = {
        query: None if answer.status == 400 else names(ward, answer)
        for query, answer in answers.items()
    }
    assert found == STUDY_CASES


def test_uids_are_found_in_lists_of_any_form(caller: Caller, ward: dict[str, Place]) -> None:
    anna, eve = ward["Anna"].study_uid, ward["Eve"].study_uid

    for query in (
        f"StudyInstanceUID={anna},{eve}",
        f"StudyInstanceUID={anna}%5C{eve}",
        f"0020000d={anna}&StudyInstanceUID={eve}",
        f"StudyInstanceUID=%5C{anna}%5C%5C{eve}%5C1.2.3",
    ):
        assert names(ward, caller.get(f"{STUDIES}?{query}")) == "AE"


def test_series_and_instances_are_found_by_the_keys_of_all_levels_above(
    caller: Caller, ward: dict[str, Place]
) -> None:
    series = {
        "Modality=CR": "J",
        "SeriesNumber=7": "J",
        "SeriesNumber=007": "J",
        "BodyPartExamined=LUNG": "J",
        "BodyPartExamined=CHEST": "A",
        "SeriesDescription=Chest*": "JAE",
        "PerformedProcedureStepStartDate=20210101-20211231": "J",
        f"SeriesInstanceUID={ward['Eve'].series_uid}": "E",
        "PatientName=doe*": "J",
        "ModalitiesInStudy=CT&PatientSex=F": "A",
    }
    instances = {
        f"SOPInstanceUID={ward['Eve'].sop_uid}": "E",
        "SOPClassUID=1.2.840.10008.5.1.4.1.1.2": "JA",
        "InstanceNumber=1": "JA",
        "InstanceNumber=2": "",
        "Modality=CT": "AE",
        "StudyDate=2021-": None,
    }
    for path, cases in {"series": series, "instances": instances}.items():
        answers = {query: caller.get(f"{ROOT}/{path}?{query}") for query in cases}
        found = {
            query: None if answer.status == 400 else names(ward, answer)
            for query, answer in answers.items()
        }
        assert found == cases


def test_study_kept_before_there_were_attributes_is_shown_from_its_columns(
    caller: Caller, ward: dict[str, Place]
) -> None:
    eve = ward["Eve"]

    [study] = caller.get(STUDIES, StudyInstanceUID=eve.study_uid).json
    [series] = caller.get(f"{eve.study}/series").json
    [instance] = caller.get(f"{eve.series}/instances").json

    assert values([study], "StudyDate") == ["20190101"]
    assert values([study], "ModalitiesInStudy") == ["CT"]
    assert values([study], "NumberOfStudyRelatedInstances") == [1]
    assert values([study], "PatientID") == []
    assert values([series], "SeriesInstanceUID") == [eve.series_uid]
    assert values([series], "Modality") == ["CT"]
    assert values([instance], "SOPInstanceUID") == [eve.sop_uid]


def test_what_is_not_served_is_passed_over_and_named(
    caller: Caller, ward: dict[str, Place]
) -> None:
    query = "?Modality=CT&Shoe%22Size%0A=9&00091001=x&fuzzymatching=true&PatientName=doe*"
    answer = caller.get(f"{STUDIES}{query}")

    fuzzy, keys = answer.headers.getlist("Warning")
    assert names(ward, answer) == "J"
    assert fuzzy.startswith('299 Hilum "Fuzzy matching is not supported.')
    assert keys.endswith('passed over: Modality, a name that is none, 00091001."')
    assert "Warning" not in caller.get(f"{STUDIES}?fuzzymatching=false").headers


@pytest.mark.parametrize(
    "query",
    [
        "StudyDate=2020",
        "StudyDate=20201301",
        "StudyDate=20200101-20200102-20200103",
        "StudyDate=-",
        "StudyDate=2020-01-01",
        "StudyDate=00000101",
        "StudyDate=%D9%A2%D9%A0%D9%A2%D9%A0%D9%A0%D9%A1%D9%A0%D9%A1",
        "StudyTime=25",
        "StudyTime=0800-9",
        "StudyInstanceUID=abc",
        "StudyInstanceUID=1.2,1.2*",
        f"StudyInstanceUID={'1' * 65}",
        f"PatientID={'x' * 257}",
        "PatientID=%00",
        "PatientID=a&PatientID=b",
        "PatientID=a&00100020=b",
        "limit=-1",
        "limit=ten",
        "limit=",
        "limit=%C2%B2",
        "offset=-1",
        "offset=99999999999999999999",
        "offset=1e3",
    ],
)
def test_malformed_query_is_refused(caller: Caller, query: str) -> None:
    assert caller.get(f"{STUDIES}?{query}").refusal == (400, "invalid_request")


def test_series_number_must_be_a_number(caller: Caller) -> None:
    for number in ("one", "1.5", "9" * 13, "%D9%A1"):
        assert caller.get(f"{ROOT}/series?SeriesNumber={number}").refusal[0] == 400


def test_search_below_what_is_not_there_is_not_found(
    caller: Caller, ward: dict[str, Place]
) -> None:
    anna = ward["Anna"]

    assert caller.get(f"{STUDIES}/1.2.3/series").refusal == (404, "unknown_study")
    assert caller.get(f"{STUDIES}/1%00/instances").refusal == (404, "unknown_study")
    assert caller.get(f"{anna.study}/series/1.2/instances").refusal == (404, "unknown_object")
    other = f"{anna.study}/series/{ward['John'].series_uid}/instances"
    assert caller.get(other).refusal == (404, "unknown_object")


def test_nothing_of_another_hospital_is_found(stranger: Caller, ward: dict[str, Place]) -> None:
    for path in ("studies", "series", "instances"):
        assert stranger.get(f"{ROOT}/{path}").json == []
    assert stranger.get(f"{ward['Anna'].study}/series").refusal == (404, "unknown_study")


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/dicom+json"),
        ("*/*", "application/dicom+json"),
        ("application/*", "application/dicom+json"),
        ("application/json", "application/json"),
        ("application/dicom+json, application/json", "application/dicom+json"),
        ("application/json;q=0.9, application/dicom+json;q=0.1", "application/json"),
        ('multipart/related; type="application/dicom+xml", application/dicom+json;q=0.5',
         "application/dicom+json"),
        ('multipart/related; type="application/dicom+xml"', None),
        ("text/html", None),
        (";;;,,,", None),
    ],
)  # fmt: skip
def test_results_come_as_json_alone(
    caller: Caller, accept: str | None, media_type: str | None
) -> None:
    answer = get(caller, STUDIES, accept)

    if media_type is None:
        assert answer.refusal == (406, "not_acceptable")
    else:
        assert (answer.status, answer.headers["Content-Type"]) == (200, media_type)
        assert answer.json == []
