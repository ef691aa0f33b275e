"""The requests that the OHIF viewer (v3, its `DicomWebDataSource`) sends, in their order.

They come of `qido.js`, `retrieveMetadataLoaderAsync.js`, `generateAcceptHeader.ts`, the JavaScript
dicomweb-client below it, and the WADO-RS image loader of Cornerstone.
"""

import io
import json

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless

from tests.api.caller import Caller
from tests.api.dicomweb.kept import encoded
from tests.api.dicomweb.place import ROOT, Place, get, parts_of, tag, values
from tests.api.dicomweb.ward import Send
from tests.phantoms import chest

JSON = "application/dicom+json"

WORKLIST_FIELDS = "00081030,00080060,00080090,00100030"
SERIES_FIELDS = "0008103E,00080021"
"""What `mapParams` and `seriesInStudy` include."""

IMAGE_LOADER = "multipart/related; type=application/octet-stream; transfer-syntax=*"
DATA_SOURCE = 'multipart/related; type="application/octet-stream"; transfer-syntax="*"'
"""What Cornerstone asks frames with, and what the data source asks with."""


def test_worklist_is_searched_as_people_type(caller: Caller, finished: str) -> None:
    usual = {"limit": 101, "offset": 0, "fuzzymatching": "false", "includefield": WORKLIST_FIELDS}
    assert finished

    for typed in (
        {},
        {"PatientName": "*phan*"},
        {"00100020": "*PHANTOM*"},
        {"StudyDescription": "*chest*", "ModalitiesInStudy": "CT,MR"},
        {"StudyDate": "20200401-20261121"},
        {"StudyDate": "19700102-20200401"},
    ):
        answer = get(caller, f"{ROOT}/studies", JSON, **typed, **usual)
        [study] = answer.json
        assert answer.headers["Content-Type"] == JSON
        assert values([study], "StudyDescription") == ["CT chest"]
        assert values([study], "NumberOfStudyRelatedInstances") == [28]
        assert study[tag("PatientBirthDate")] == {"vr": "DA"}
        assert "Value" in study[tag("ModalitiesInStudy")]
    assert get(caller, f"{ROOT}/studies", JSON, AccessionNumber="*4711*", **usual).json == []


def test_study_is_opened_series_by_series(caller: Caller, finished: str) -> None:
    place = Place.of(chest().datasets()[0])
    assert finished

    found = get(caller, f"{ROOT}/studies", JSON, StudyInstanceUID=place.study_uid).json
    listed = get(caller, f"{place.study}/series", JSON, includefield=SERIES_FIELDS).json
    preloaded = get(caller, f"{place.study}/series", JSON).json

    assert len(found) == 1
    for one in listed:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber"):
            assert values([one], keyword), keyword
        assert values([one], "NumberOfSeriesRelatedInstances")[0] >= 1
    assert values(preloaded, "SeriesInstanceUID") == values(listed, "SeriesInstanceUID")
    for uid in values(preloaded, "SeriesInstanceUID"):
        said = get(caller, f"{place.study}/series/{uid}/metadata", JSON).json
        for one in said:
            for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality"):
                assert values([one], keyword), keyword
            assert "Value" not in one.get("7FE00010", {})
    ct = get(caller, f"{place.series}/metadata", JSON).json
    for keyword in ("ImagePositionPatient", "PixelSpacing", "RescaleSlope", "Rows"):
        assert len(values(ct, keyword)) == 24


@pytest.mark.parametrize("accept", [IMAGE_LOADER, DATA_SOURCE])
def test_slices_are_loaded_frame_by_frame(
    caller: Caller, send: Send, slices: list[Dataset], accept: str
) -> None:
    [packed] = encoded(slices[:1], RLELossless)
    send([packed, *slices[1:]])

    [(kind, body)] = parts_of(get(caller, f"{Place.of(slices[1]).instance}/frames/1", accept))
    [(packed_kind, _)] = parts_of(get(caller, f"{Place.of(packed).instance}/frames/1", accept))

    # The loader finds its decoder by the transfer syntax of the part.
    assert kind == "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
    assert body == slices[1].pixel_array.tobytes()
    assert packed_kind == f"image/dicom-rle; transfer-syntax={RLELossless}"


def test_results_are_loaded_whole_and_documents_by_their_address(
    caller: Caller, finished: str
) -> None:
    study = Place.of(chest().datasets()[0]).study
    assert finished
    said = {values([one], "Modality")[0]: one for one in get(caller, f"{study}/metadata").json}
    accept = 'multipart/related; type="application/dicom"'

    def instance(name: str) -> str:
        series, sop = (values([said[name]], f"{kind}InstanceUID")[0] for kind in ("Series", "SOP"))
        return f"{study}/series/{series}/instances/{sop}"

    [(_, segments)] = parts_of(get(caller, instance("SEG"), accept))
    uri = said["DOC"]["00420011"]["BulkDataURI"].removeprefix("http://localhost")
    [(kind, document)] = parts_of(
        get(
            caller,
            uri,
            'multipart/related; type="application/pdf",'
            ' multipart/related; type="application/octet-stream"',
        )
    )

    assert np.any(dcmread(io.BytesIO(segments)).pixel_array)
    assert (kind, document[:4]) == ("application/pdf", b"%PDF")
    # A structured report is read off its metadata.
    assert "Lung" in json.dumps(said["SR"][tag("ContentSequence")])
