"""The series behind a report, for a viewer: voxel for voxel what the worker saw."""

import gzip
from uuid import UUID

import nibabel
import numpy as np
import pytest
from apiflask import APIFlask
from numpy.typing import NDArray
from sqlalchemy import delete, select

from api.parts import Parts
from db.session import Sessions
from db.tables import ArtifactRow, InstanceRow
from tests.api.caller import Answer, Caller
from tests.phantoms import SIZE_PX, SLICES, chest


def image_of(answer: Answer) -> nibabel.Nifti1Image:
    return nibabel.Nifti1Image.from_bytes(gzip.decompress(answer.data))


def voxels_of(image: nibabel.Nifti1Image) -> NDArray[np.int16]:
    return np.asarray(image.dataobj).transpose(2, 1, 0)


def test_volume_has_the_voxels_of_the_worker_on_the_grid_of_its_masks(
    caller: Caller, finished: str
) -> None:
    answer = caller.get(f"/v1/reports/{finished}/volume.nii.gz")

    volume = image_of(answer)
    mask = image_of(caller.get(f"/v1/reports/{finished}/masks/lesions.nii.gz"))
    assert volume.get_data_dtype() == np.int16
    assert np.array_equal(voxels_of(volume), chest().voxels)
    assert np.array_equal(volume.affine, mask.affine)
    assert f"{finished}.nii.gz" in answer.headers["Content-Disposition"]


def test_volume_is_sent_while_it_is_read(caller: Caller, app: APIFlask, finished: str) -> None:
    path = f"/v1/reports/{finished}/volume.nii.gz"

    with app.test_client().get(path, headers=caller.headers(), buffered=False) as response:
        pieces = list(response.iter_encoded())

    assert response.content_length is None
    assert len(pieces) == 1 + SLICES + 1
    assert max(len(piece) for piece in pieces) < 4 * SIZE_PX * SIZE_PX


def test_viewer_that_leaves_takes_its_scratch_along(
    caller: Caller, app: APIFlask, parts: Parts, finished: str
) -> None:
    path = f"/v1/reports/{finished}/volume.nii.gz"
    before = set(parts.spool.home.iterdir())

    with app.test_client().get(path, headers=caller.headers(), buffered=False) as response:
        next(response.iter_encoded())

    assert set(parts.spool.home.iterdir()) == before


def test_volume_of_a_waiting_job_is_not_ready(caller: Caller, archive: bytes) -> None:
    job_id = caller.send(archive).json["id"]

    answer = caller.get(f"/v1/reports/{job_id}/volume.nii.gz")

    assert answer.refusal == (409, "report_not_ready")


def test_volume_of_another_hospital_is_unknown(stranger: Caller, finished: str) -> None:
    answer = stranger.get(f"/v1/reports/{finished}/volume.nii.gz")

    assert answer.refusal == (404, "unknown_job")


def test_volume_whose_instances_are_forgotten_is_gone(
    caller: Caller, finished: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        first = select(InstanceRow.id).order_by(InstanceRow.id).limit(1).scalar_subquery()
        session.execute(delete(InstanceRow).where(InstanceRow.id == first))

    answer = caller.get(f"/v1/reports/{finished}/volume.nii.gz")

    assert answer.refusal == (410, "files_gone")
    assert f"1 of {SLICES} slices" in answer.json["detail"]


@pytest.mark.parametrize("what", ["volume.nii.gz", "slices/3.png"])
def test_pictures_of_a_study_whose_files_are_gone_say_so(
    caller: Caller, finished: str, sessions: Sessions, parts: Parts, what: str
) -> None:
    with sessions.begin() as session:
        keys = list(session.scalars(select(InstanceRow.key)))
    for key in keys:
        parts.store.delete(key)

    answer = caller.get(f"/v1/reports/{finished}/{what}")

    assert answer.refusal == (410, "files_gone")


@pytest.mark.parametrize(
    "what",
    ["volume.nii.gz", "masks/lungs.nii.gz", "montage.png", "thumbnail.png", "slices/3.png"],
)
def test_results_whose_files_are_gone_say_so(
    caller: Caller, finished: str, sessions: Sessions, parts: Parts, what: str
) -> None:
    with sessions.begin() as session:
        keys = list(session.scalars(select(ArtifactRow.key)))
    for key in keys:
        parts.store.delete(key)

    answer = caller.get(f"/v1/reports/{finished}/{what}")

    assert answer.refusal == (410, "files_gone")


def test_report_of_an_earlier_version_has_no_thumbnail(
    caller: Caller, finished: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        of_job = ArtifactRow.job_id == UUID(finished)
        session.execute(delete(ArtifactRow).where(of_job, ArtifactRow.kind == "thumbnail"))

    answer = caller.get(f"/v1/reports/{finished}/thumbnail.png")

    assert answer.refusal == (404, "unknown_report")
