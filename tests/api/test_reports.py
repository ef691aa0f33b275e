import gzip
import io
from uuid import uuid4

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from sqlalchemy import delete

from db.session import Sessions
from db.tables import InstanceRow
from hilum.catalogue import CONSOLIDATION, GROUND_GLASS
from hilum.render import overlay
from tests.api.caller import Answer, Caller
from tests.phantoms import SLICES, chest


def picture(answer: Answer) -> NDArray[np.uint8]:
    assert answer.headers["Content-Type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.data)))


def test_report_carries_verdict_findings_and_how_it_was_made(caller: Caller, finished: str) -> None:
    report = caller.get(f"/v1/reports/{finished}").json

    assert report["assessment"]["verdict"] == "Mild"
    assert report["total"]["share"] == pytest.approx(0.1)
    [finding] = report["findings"]
    assert (finding["label"], finding["volume_ml"]) == ("consolidation", 12.5)
    assert len(report["slices"]) == SLICES
    assert report["network"]["sha256"] == "cd" * 32
    assert report["timings_s"] == {"reading": 1.0, "slices": 3.0}
    assert report["assessment"]["thresholds"]
    assert report["job_id"] == finished


def test_report_of_a_waiting_job_is_not_ready(caller: Caller, archive: bytes) -> None:
    job_id = caller.send(archive).json["id"]

    answer = caller.get(f"/v1/reports/{job_id}")

    assert answer.refusal == (409, "report_not_ready")
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("what", ["", "/masks/lungs.nii.gz", "/montage.png", "/slices/0.png"])
def test_report_of_a_cancelled_job_will_not_come(caller: Caller, archive: bytes, what: str) -> None:
    job_id = caller.send(archive).json["id"]
    caller.delete(f"/v1/jobs/{job_id}")

    answer = caller.get(f"/v1/reports/{job_id}{what}")

    assert answer.refusal == (404, "unknown_report")
    assert "Retry-After" not in answer.headers


@pytest.mark.parametrize("what", ["", "/masks/lungs.nii.gz", "/montage.png", "/slices/0.png"])
def test_report_of_an_unknown_job_is_not_found(caller: Caller, what: str) -> None:
    assert caller.get(f"/v1/reports/{uuid4()}{what}").refusal == (404, "unknown_job")


@pytest.mark.parametrize(
    "what", ["/masks/lungs.nii.gz", "/montage.png", "/segmentation.dcm", "/slices/0.png"]
)
def test_files_of_a_waiting_job_are_not_ready(caller: Caller, archive: bytes, what: str) -> None:
    job_id = caller.send(archive).json["id"]

    assert caller.get(f"/v1/reports/{job_id}{what}").refusal == (409, "report_not_ready")


@pytest.mark.parametrize("kind", ["lesions", "lungs"])
def test_mask_comes_as_nifti_with_the_voxels_of_the_worker(
    caller: Caller, finished: str, kind: str
) -> None:
    answer = caller.get(f"/v1/reports/{finished}/masks/{kind}.nii.gz")

    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.data))
    expected = getattr(chest(), kind)
    assert np.array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), expected)
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert f"{finished}-{kind}.nii.gz" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("kind", "modality"),
    [("segmentation", "SEG"), ("measurements", "SR"), ("key-image", "OT"), ("document", "DOC")],
)
def test_results_come_as_dicom_of_the_same_patient(
    caller: Caller, finished: str, kind: str, modality: str
) -> None:
    answer = caller.get(f"/v1/reports/{finished}/{kind}.dcm")

    found = dcmread(io.BytesIO(answer.data))
    assert found.PatientID == chest().datasets()[0].PatientID
    assert found.Modality == modality
    assert answer.headers["Content-Type"] == "application/dicom"
    assert f"{finished}-{kind}.dcm" in answer.headers["Content-Disposition"]


def test_mask_of_another_kind_is_not_found(caller: Caller, finished: str) -> None:
    assert caller.get(f"/v1/reports/{finished}/masks/heart.nii.gz").refusal == (404, "not_found")


@pytest.mark.parametrize("index", [0, SLICES // 2, SLICES - 1])
def test_slice_is_painted_from_its_own_file_and_mask(
    caller: Caller, finished: str, index: int
) -> None:
    phantom = chest()

    drawn = picture(caller.get(f"/v1/reports/{finished}/slices/{index}.png"))

    expected = overlay(phantom.voxels[index], phantom.lungs[index], phantom.lesions[index])
    assert np.array_equal(drawn, expected)


def test_lesions_are_tinted_on_the_slice_that_has_them(caller: Caller, finished: str) -> None:
    index = int(np.argmax((chest().lesions > 0).sum(axis=(1, 2))))
    label = CONSOLIDATION if (chest().lesions[index] == CONSOLIDATION.value).any() else GROUND_GLASS

    drawn = picture(caller.get(f"/v1/reports/{finished}/slices/{index}.png"))

    inside = drawn[chest().lesions[index] == label.value].astype(int)
    assert np.abs(inside[:, 0] - inside[:, 2]).mean() > 30


@pytest.mark.parametrize("index", [SLICES, 99999])
def test_slice_beyond_the_last_is_not_found(caller: Caller, finished: str, index: int) -> None:
    answer = caller.get(f"/v1/reports/{finished}/slices/{index}.png")

    assert answer.refusal == (404, "unknown_slice")
    assert f"0 to {SLICES - 1}" in answer.json["detail"]


@pytest.mark.parametrize("index", ["-1", "one", "1.5"])
def test_slice_without_a_number_is_not_found(caller: Caller, finished: str, index: str) -> None:
    assert caller.get(f"/v1/reports/{finished}/slices/{index}.png").status == 404


def test_slice_whose_file_is_gone_is_not_found(
    caller: Caller, finished: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        session.execute(delete(InstanceRow))

    answer = caller.get(f"/v1/reports/{finished}/slices/0.png")

    assert answer.refusal == (404, "unknown_slice")


def test_montage_is_a_picture(caller: Caller, finished: str) -> None:
    assert picture(caller.get(f"/v1/reports/{finished}/montage.png")).shape == (192, 192, 3)


def test_every_link_of_a_report_leads_somewhere(caller: Caller, finished: str) -> None:
    links = caller.get(f"/v1/reports/{finished}").json["links"]

    found = {name: caller.get(link.format(index=0)).status for name, link in links.items()}

    assert set(found.values()) == {200}


def test_listed_report_has_the_columns_of_a_list(caller: Caller, finished: str) -> None:
    [listed] = caller.get("/v1/reports").json["items"]

    assert (listed["job_id"], listed["verdict"], listed["grade"]) == (finished, "Mild", "CT-1")
    assert listed["lesion_share"] == pytest.approx(0.1)
    assert "findings" not in listed


def test_catalogue_tells_what_may_be_asked_for(caller: Caller) -> None:
    [card] = caller.get("/v1/pipelines").json["items"]

    assert card["name"] == "ct-lesions"
    assert card["networks"][0] == "ward"
    assert {"other", "ward"} <= set(card["networks"])
    assert {"other@1.0.0", "ward@1.0.0"} <= set(card["network_versions"])
    assert [label["name"] for label in card["labels"]] == ["ground-glass opacity", "consolidation"]
    assert "not for diagnosis" in card["intended_use"]
