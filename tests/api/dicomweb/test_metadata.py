import json

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.api.caller import Caller
from tests.api.dicomweb.kept import SYNTAXES, encoded
from tests.api.dicomweb.place import Place, get, parts_of, tag, values
from tests.api.dicomweb.ward import Send
from tests.phantoms import chest


def path_of(uri: str) -> str:
    assert uri.startswith("http://localhost/")
    return uri.removeprefix("http://localhost")


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_metadata_says_what_the_object_says(
    caller: Caller, send: Send, slices: list[Dataset], syntax: UID
) -> None:
    send(encoded(slices, syntax))
    place = Place.of(slices[0])

    [one] = caller.get(f"{place.instance}/metadata").json

    expected = slices[0].to_json_dict(bulk_data_threshold=0, bulk_data_element_handler=str)
    del expected["7FE00010"]
    assert one["7FE00010"]["BulkDataURI"] == f"http://localhost{place.instance}/bulkdata/7FE00010"
    assert one["00083002"] == {"vr": "UI", "Value": [str(syntax)]}
    assert {name: one[name] for name in expected} == expected
    assert set(one) - set(expected) == {"00083002", "7FE00010"}


def test_metadata_of_study_and_series_is_that_of_their_instances(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    send(slices)
    place = Place.of(slices[0])

    study, series = (caller.get(f"{each}/metadata") for each in (place.study, place.series))

    assert study.headers["Content-Type"] == "application/dicom+json"
    assert study.json == series.json
    assert values(study.json, "InstanceNumber") == [1, 2, 3]
    assert get(caller, f"{place.study}/metadata", "text/html").refusal == (406, "not_acceptable")


def test_names_in_any_alphabet_are_json(caller: Caller, send: Send, slices: list[Dataset]) -> None:
    slices[0].SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    slices[0].PatientName = "Yamada^Tarou=山田^太郎"
    send(slices[:1])

    [one] = caller.get(f"{Place.of(slices[0]).instance}/metadata").json

    assert one["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert values([one], "PatientName") == [
        {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎"}
    ]


@pytest.mark.parametrize("syntax", [SYNTAXES[0], SYNTAXES[1], SYNTAXES[3]], ids=str)
def test_long_values_are_fetched_by_their_address(
    caller: Caller, send: Send, slices: list[Dataset], syntax: UID
) -> None:
    long, short = bytes(range(256)) * 8, b"\x01\x02" * 8
    item = Dataset()
    item.add_new(0x00282000, "OB", long)
    one = slices[0]
    one.add_new("OpticalPathSequence", "SQ", Sequence([Dataset(), item]))
    one.add_new(0x00091010, "OB", short)
    one.add_new(0x00091001, "OW", long)
    one.add_new(0x00090010, "LO", "HILUM")
    send(encoded([one], syntax))
    instance = Place.of(one).instance

    [said] = caller.get(f"{instance}/metadata").json

    nested = said[tag("OpticalPathSequence")]["Value"][1]["00282000"]["BulkDataURI"]
    assert path_of(nested) == f"{instance}/bulkdata/{tag('OpticalPathSequence')}/1/00282000"
    assert parts_of(get(caller, path_of(nested)))[0][1] == long
    private = get(caller, path_of(said["00091001"]["BulkDataURI"]), "application/octet-stream")
    turned = b"".join(long[at : at + 2][::-1] for at in range(0, len(long), 2))
    assert private.data == (long if syntax.is_little_endian else turned)
    assert "InlineBinary" in said["00091010"] or syntax.is_implicit_VR


def test_value_that_is_not_there_is_not_found(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    send(slices[:1])
    bulkdata = f"{Place.of(slices[0]).instance}/bulkdata"

    for place in ("00420011", "00100010", "7fe0", "xyz", "00081140/0/00081150", "a/b/c", "%00"):
        assert get(caller, f"{bulkdata}/{place}").refusal == (404, "unknown_object")


def test_document_comes_as_pdf_or_as_bytes(caller: Caller, finished: str) -> None:
    study = Place.of(chest().datasets()[0]).study
    assert finished
    said = caller.get(f"{study}/metadata").json
    [uri] = [one["00420011"]["BulkDataURI"] for one in said if "00420011" in one]

    for accept, kind in {
        "application/pdf": "application/pdf",
        "application/octet-stream": "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
    }.items():
        answer = get(caller, path_of(uri), accept)
        assert answer.headers["Content-Type"] == kind
        assert answer.data.startswith(b"%PDF")
    liked = 'multipart/related; type="application/pdf", multipart/related; type="application/octet-stream"'
    [(kind, body)] = parts_of(get(caller, path_of(uri), liked))
    assert (kind, body[:4]) == ("application/pdf", b"%PDF")
    assert get(caller, path_of(uri), "image/png").refusal == (406, "not_acceptable")


def test_numbers_that_are_none_are_still_json(
    caller: Caller, send: Send, slices: list[Dataset]
) -> None:
    slices[0].add_new("RealWorldValueSlope", "FD", [float("nan"), float("inf"), 1.5])
    send(slices[:1])

    answer = caller.get(f"{Place.of(slices[0]).instance}/metadata")

    [one] = json.loads(answer.text, parse_constant=pytest.fail)
    assert one[tag("RealWorldValueSlope")]["Value"] == ["NaN", "Infinity", 1.5]
