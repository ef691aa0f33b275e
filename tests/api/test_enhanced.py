"""An enhanced instance is one stored file, whatever number of slices it holds."""

import io
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from PIL import Image

from db.claims import Artifact, claim_job, finish_job
from db.session import Sessions
from db.studies import instance_keys
from hilum.dicom.read import read_study, read_volume
from hilum.masks import pack_masks
from hilum.pipelines.measure import measure_slices
from hilum.render import overlay
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.db.factories import make_report
from tests.enhanced import enhanced, rescaled
from tests.phantoms import SLICES, chest, zipped


@pytest.fixture
def job_id(caller: Caller, tmp_path: Path) -> str:
    slices = rescaled(chest().datasets())
    archive = zipped(tmp_path / "chest.zip", [enhanced(slices[8:]), enhanced(slices[:8])])
    found: str = caller.send(archive.read_bytes()).json["id"]
    return found


def test_its_files_are_kept_once_and_its_slices_counted(
    caller: Caller, job_id: str, sessions: Sessions
) -> None:
    job = caller.get(f"/v1/jobs/{job_id}").json

    study = caller.get(f"/v1/studies/{job['study_id']}").json
    [series] = study["series"]
    assert job["slices"]["total"] == SLICES
    assert (study["instance_count"], series["instance_count"]) == (2, 2)
    assert series["sheet"]["frames"] == SLICES
    assert series["sheet"]["outcome"] == "chosen"
    with sessions.begin() as session:
        assert len(instance_keys(session, UUID(job["study_id"]))) == 2


@pytest.mark.parametrize("index", [0, SLICES // 2, SLICES - 1])
def test_slice_is_painted_from_its_own_frame(
    caller: Caller, job_id: str, sessions: Sessions, store: StudyStore, index: int, tmp_path: Path
) -> None:
    phantom = chest()
    volume = read_volume(read_study(tmp_path / "chest.dcm.d").series[0])
    slices = measure_slices(volume, phantom.lungs, phantom.lesions)
    data = pack_masks(phantom.lungs, phantom.lesions)
    masks = Artifact("masks", "application/zip", store.put(io.BytesIO(data), f"{job_id}/masks"))
    with sessions.begin() as session:
        claim = claim_job(session, UUID(job_id), worker="gpu", lease_s=60, max_attempts=3)
        assert claim is not None
        finish_job(session, claim, replace(make_report(0.1), slices=slices), [masks])

    answer = caller.get(f"/v1/reports/{job_id}/slices/{index}.png")

    drawn = np.asarray(Image.open(io.BytesIO(answer.data)))
    expected = overlay(phantom.voxels[index], phantom.lungs[index], phantom.lesions[index])
    assert np.array_equal(drawn, expected)
