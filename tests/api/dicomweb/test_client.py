"""A client that others wrote, in front of the real server."""

import io
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
from dicomweb_client import DICOMwebClient
from highdicom.seg import Segmentation
from highdicom.sr import Comprehensive3DSR
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from hilum.settings import Settings
from tests.api.dicomweb.place import AS_STORED, Place, tag, values
from tests.api.large import write_archive
from tests.api.server import Server, running_server
from tests.phantoms import chest

LARGE_MIB = 96
MEMORY_MIB = 64
"""What fetching a study of any size may cost; one held in memory would cost LARGE_MIB."""


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    with running_server(settings) as server:
        yield server


@pytest.fixture
def client(server: Server, key: str) -> DICOMwebClient:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    return DICOMwebClient(f"{server.url}/dicom-web", session=session)


@pytest.fixture
def originals() -> list[Dataset]:
    """The slices as files have them."""
    files = []
    for one in chest().datasets():
        buffer = io.BytesIO()
        one.save_as(buffer, enforce_file_format=True)
        files.append(dcmread(io.BytesIO(buffer.getvalue())))
    return files


@pytest.fixture
def place(originals: list[Dataset]) -> Place:
    return Place.of(originals[0])


def test_study_is_searched_and_fetched_whole(
    client: DICOMwebClient, finished: str, originals: list[Dataset], place: Place
) -> None:
    assert finished
    patient = originals[0].PatientID

    for filters in (
        {"PatientID": patient},
        {"StudyDate": "20200101-20201231", "PatientName": "phantom*"},
        {"ModalitiesInStudy": "SEG"},
        {"0020000D": place.study_uid},
    ):
        [found] = client.search_for_studies(search_filters=filters, fields=["StudyDescription"])
        assert values([found], "StudyDescription") == ["CT chest"]
    assert client.search_for_studies(search_filters={"StudyDate": "20210101-"}) == []
    assert client.search_for_studies(limit=1, offset=1) == []
    series = client.search_for_series(place.study_uid)
    assert {*values(series, "Modality")} == {"CT", "SEG", "SR", "OT", "DOC"}
    assert len(client.search_for_series(search_filters={"Modality": "CT"})) == 1
    instances = client.search_for_instances(place.study_uid, place.series_uid, get_remaining=True)
    assert sorted(values(instances, "InstanceNumber")) == list(range(1, 25))
    assert len(client.search_for_instances(place.study_uid, limit=3)) == 3

    fetched = client.retrieve_series(place.study_uid, place.series_uid)

    by_uid = {one.SOPInstanceUID: one for one in fetched}
    assert len(by_uid) == len(fetched) == len(originals)
    for original in originals:
        one = by_uid[original.SOPInstanceUID]
        assert one == original
        assert np.array_equal(one.pixel_array, original.pixel_array)
    assert len(client.retrieve_study(place.study_uid)) == 28
    assert len(list(client.iter_study(place.study_uid))) == 28


def test_instance_is_fetched_in_every_form(
    server: Server,
    client: DICOMwebClient,
    finished: str,
    originals: list[Dataset],
    place: Place,
) -> None:
    assert finished
    uids = (place.study_uid, place.series_uid, place.sop_uid)
    original = originals[0]

    assert client.retrieve_instance(*uids) == original
    any_syntax = (("application/dicom", str(ExplicitVRLittleEndian)),)
    assert client.retrieve_instance(*uids, media_types=any_syntax) == original
    [frame] = client.retrieve_instance_frames(*uids, frame_numbers=[1])
    assert frame == original.pixel_array.tobytes()
    octets = ("application/octet-stream",)
    assert client.retrieve_instance_frames(*uids, [1], media_types=octets) == [frame]
    said = client.retrieve_instance_metadata(*uids)
    assert said["00280030"]["Value"] == [float(one) for one in original.PixelSpacing]
    assert len(client.retrieve_series_metadata(*uids[:2])) == 24
    assert len(client.retrieve_study_metadata(uids[0])) == 28
    # The client names the host without its port, so the address that comes back lacks it too.
    address = urlsplit(said["7FE00010"]["BulkDataURI"]).path
    assert client.retrieve_bulkdata(f"{server.url}{address}") == [frame]
    for picture in (
        client.retrieve_instance_rendered(*uids),
        client.retrieve_instance_rendered(*uids, media_types=("image/jpeg",)),
        client.retrieve_instance_frames_rendered(*uids, [1], media_types=("image/png",)),
        client.retrieve_instance_rendered(
            *uids, media_types=("image/png",), params={"window": "40,400,linear"}
        ),
    ):
        assert Image.open(io.BytesIO(picture)).size == (192, 192)


def test_results_are_fetched_as_the_objects_they_are(
    client: DICOMwebClient, finished: str, place: Place
) -> None:
    assert finished
    series = client.search_for_series(place.study_uid)
    made = {
        values([one], "Modality")[0]: client.retrieve_series(
            place.study_uid, values([one], "SeriesInstanceUID")[0]
        )[0]
        for one in series
    }

    segments = Segmentation.from_dataset(made["SEG"])
    measurements = Comprehensive3DSR.from_dataset(made["SR"])

    assert segments.number_of_segments == 4
    sources = [uids[2] for uids in segments.get_source_image_uids()]
    lesions = segments.get_pixels_by_source_instance(sources, combine_segments=True)
    assert np.count_nonzero(lesions) > 0
    groups = measurements.content.get_volumetric_roi_measurement_groups()
    assert len(groups) > 0
    key_image = Place.of(made["OT"])
    rendered = client.retrieve_instance_rendered(
        key_image.study_uid, key_image.series_uid, key_image.sop_uid, media_types=("image/png",)
    )
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(rendered))), made["OT"].pixel_array)
    document = Place.of(made["DOC"])
    paper = client.retrieve_instance_rendered(
        document.study_uid,
        document.series_uid,
        document.sop_uid,
        media_types=("application/pdf",),
    )
    assert paper.startswith(b"%PDF")
    assert made["DOC"].EncapsulatedDocument.startswith(paper)


@pytest.mark.parametrize("accept", [AS_STORED, None])
def test_large_study_costs_little_memory(
    server: Server, key: str, tmp_path: Path, accept: str | None
) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    archive = write_archive(tmp_path / "large.zip", mib=LARGE_MIB)
    with archive.open("rb") as body:
        taken = requests.post(
            f"{server.url}/v1/studies",
            data=body,
            headers={**headers, "Content-Type": "application/zip"},
            timeout=300,
        )
    assert taken.status_code == 202, taken.text
    [study] = requests.get(f"{server.url}/dicom-web/studies", headers=headers, timeout=60).json()
    before = server.peak_mib()

    wanted = {**headers, **({"Accept": accept} if accept else {})}
    url = f"{server.url}/dicom-web/studies/{study[tag('StudyInstanceUID')]['Value'][0]}"
    with requests.get(url, headers=wanted, stream=True, timeout=300) as answer:
        size = sum(len(chunk) for chunk in answer.iter_content(2**20))

    assert size > LARGE_MIB * 2**20
    assert server.peak_mib() - before < MEMORY_MIB
