import pytest
from pydicom import Dataset

from api.dicomweb import search
from api.dicomweb.search import Level
from api.parts import Parts
from tests.api.caller import Caller
from tests.api.dicomweb.place import ROOT, Place, tag, values
from tests.api.dicomweb.ward import STUDIES, Send, names, study
from tests.db.test_plans import recorded
from tests.phantoms import as_series, chest, setting


def test_results_have_what_the_standard_asks_and_what_is_counted(
    caller: Caller, finished: str
) -> None:
    place = Place.of(chest().datasets()[0])

    [study] = caller.get(STUDIES).json
    series = caller.get(f"{place.study}/series").json
    instances = caller.get(f"{place.series}/instances").json

    assert finished
    assert values([study], "NumberOfStudyRelatedSeries") == [5]
    assert values([study], "NumberOfStudyRelatedInstances") == [28]
    assert study[tag("ModalitiesInStudy")]["Value"] == ["CT", "DOC", "OT", "SEG", "SR"]
    assert study[tag("AccessionNumber")] == {"vr": "SH"}
    assert tag("TimezoneOffsetFromUTC") not in study
    assert values([study], "RetrieveURL") == [f"http://localhost{place.study}"]
    assert values([study], "InstanceAvailability") == ["ONLINE"]
    assert values([study], "PatientName") == [{"Alphabetic": "Phantom^Hilum"}]
    assert list(study) == sorted(study)
    assert values(series, "Modality")[0] == "CT"
    assert sorted(values(series, "NumberOfSeriesRelatedInstances")) == [1, 1, 1, 1, 24]
    assert values(series[:1], "RetrieveURL") == [f"http://localhost{place.series}"]
    assert {tag("PatientID"), tag("StudyDate")}.isdisjoint(series[0])
    assert len(instances) == 24
    assert values(instances[:1], "RetrieveURL") == [f"http://localhost{place.instance}"]
    assert values(instances, "Rows") == [192] * 24
    assert tag("Modality") not in instances[0]


def test_search_in_all_studies_shows_what_lies_above(
    caller: Caller, ward: dict[str, Place]
) -> None:
    [series] = caller.get(f"{ROOT}/series", Modality="CR").json
    [instance] = caller.get(f"{ROOT}/instances", Modality="CR").json
    [below] = caller.get(f"{ward['John'].study}/instances").json

    for one in (series, instance):
        assert values([one], "PatientID") == ["J%2"]
        assert values([one], "NumberOfStudyRelatedInstances") == [1]
        assert values([one], "NumberOfSeriesRelatedInstances") == [1]
    assert values([below], "Modality") == ["CR"]
    assert tag("PatientID") not in below


def test_study_sent_in_pieces_is_one_and_its_last_words_count(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    send(slices[:2])
    corrected = setting(chest().datasets()[1:3], None, PatientName="Corrected")
    send([*corrected, *as_series(corrected[:1], SeriesDescription="Other")])
    place = Place.of(slices[0])

    [study] = caller.get(STUDIES).json
    series = caller.get(f"{place.study}/series").json
    instances = caller.get(f"{place.study}/instances").json

    assert values([study], "PatientName") == [{"Alphabetic": "Corrected"}]
    assert values([study], "NumberOfStudyRelatedSeries") == [2]
    assert values([study], "NumberOfStudyRelatedInstances") == [4]
    assert sorted(values(series, "NumberOfSeriesRelatedInstances")) == [1, 3]
    assert len(set(values(instances, "SOPInstanceUID"))) == len(instances) == 4
    assert caller.get(STUDIES, PatientName="Phantom*").json == []
    assert len(caller.get(f"{ROOT}/instances", PatientName="corrected").json) == 4


def test_second_file_of_one_uid_is_not_shown(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    other = setting(chest().datasets()[:1], None, ImageComments="Another file of this UID.")
    send([*slices, *other])
    place = Place.of(slices[0])

    instances = caller.get(f"{place.series}/instances").json

    uids = [one.SOPInstanceUID for one in slices]
    assert sorted(values(instances, "SOPInstanceUID")) == sorted(uids)
    [study] = caller.get(STUDIES).json
    assert values([study], "NumberOfStudyRelatedInstances") == [3]
    assert len(caller.get(f"{place.study}/metadata").json) == 3


def test_uid_that_looks_like_a_second_file_is_shown(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    uid = "1.2.840.202004010800"
    slices[0].SOPInstanceUID = slices[0].file_meta.MediaStorageSOPInstanceUID = uid
    send(slices[:1])

    assert values(caller.get(f"{ROOT}/instances").json, "SOPInstanceUID") == [uid]


def test_pages_follow_each_other_without_gaps(caller: Caller, send: Send) -> None:
    send(chest().datasets()[:5])
    path = f"{ROOT}/instances"
    whole = values(caller.get(path).json, "SOPInstanceUID")

    pages = [caller.get(path, limit=2, offset=offset) for offset in (0, 2, 4)]

    assert [uid for page in pages for uid in values(page.json, "SOPInstanceUID")] == whole
    said = [page.headers.get("Warning", "") for page in pages]
    assert [text.startswith('299 Hilum "There are more results') for text in said] == [
        True,
        True,
        False,
    ]


def test_pages_end_at_the_stated_maximum(
    caller: Caller, ward: dict[str, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LARGEST_PAGE", dict.fromkeys(Level, 2))

    for query in ("", "?limit=1000"):
        answer = caller.get(f"{STUDIES}{query}")
        assert names(ward, answer) == "JA"
        assert "offset=2" in answer.headers["Warning"]


def test_fields_are_included_when_asked_for(caller: Caller, ward: dict[str, Place]) -> None:
    def extra(path: str, query: str) -> set[str]:
        usual, asked = (caller.get(f"{path}?PatientID=A-1{more}").json[0] for more in ("", query))
        assert usual.items() <= asked.items()
        return set(asked) - set(usual)

    description = {tag("StudyDescription")}

    assert extra(STUDIES, "&includefield=StudyDescription") == description
    assert extra(STUDIES, "&includefield=00081030,Modality,NoSuchThing") == description
    assert extra(STUDIES, "&includefield=00081030&includefield=IssuerOfPatientID") == {
        tag("StudyDescription"),
        tag("IssuerOfPatientID"),
    }
    assert extra(STUDIES, "&StudyDescription=*") == description
    assert extra(STUDIES, "&includefield=all") == {
        tag("StudyDescription"),
        tag("IssuerOfPatientID"),
    }
    assert tag("AvailableTransferSyntaxUID") in extra(f"{ROOT}/instances", "&includefield=all")
    below = caller.get(f"{ward['Anna'].study}/series?includefield=PatientID,00080021").json
    assert values(below, "PatientID") == ["A-1"]
    assert values(below, "SeriesDate") == ["20200401"]


@pytest.mark.parametrize("path", ["studies", "series", "instances"])
def test_page_costs_the_same_number_of_questions_however_long_it_is(
    parts: Parts, caller: Caller, send: Send, path: str
) -> None:
    def questions() -> int:
        with recorded(parts.engine) as statements:
            caller.get(f"{ROOT}/{path}")
        return len(statements)

    send(study())
    # The first call of a key looks it up.
    questions()
    alone = questions()
    for _ in range(4):
        send(study(count=2))

    assert questions() == alone
    assert alone <= 5
