"""The app on real PostgreSQL and Valkey, hospitals that call it, and jobs with real results."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from apiflask import APIFlask
from sqlalchemy import select

from api import create_app
from api.parts import EXTENSION, Parts
from db.claims import Artifact, claim_job, finish_job
from db.session import Sessions
from db.tables import NoticeRow, TenantRow
from db.tenants import add_tenant, new_key
from db.webhooks import add_webhook
from hilum.dicom.attributes import Attributes, read_attributes
from hilum.dicom.results import result_objects
from hilum.findings import Report, SliceBurden
from hilum.masks import pack_masks
from hilum.nifti import write_nifti
from hilum.phantom import Phantom
from hilum.render import overlay_png, thumbnail_png
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.analyses import analysis_of
from tests.api.caller import Caller
from tests.api.pieces import Pieces
from tests.db.factories import finished_job, make_report
from tests.phantoms import chest, zip_chest


@pytest.fixture
def settings(settings: Settings, site: Path) -> Settings:
    """Settings of a hospital that runs by a network of its own."""
    return settings.model_copy(update={"weights": str(site), "network": "ward"})


@pytest.fixture
def app(settings: Settings) -> Iterator[APIFlask]:
    app = create_app(settings)
    yield app
    app.extensions[EXTENSION].close()


@pytest.fixture
def parts(app: APIFlask) -> Parts:
    found: Parts = app.extensions[EXTENSION]
    return found


@pytest.fixture
def key(sessions: Sessions, tenant: TenantRow) -> str:
    with sessions.begin() as session:
        return new_key(session, tenant.name, "scanner")


@pytest.fixture
def caller(app: APIFlask, key: str) -> Caller:
    """The hospital `tenant`."""
    return Caller(app.test_client(), key)


@pytest.fixture
def pieces(caller: Caller) -> Pieces:
    """The same hospital where the link is poor."""
    return Pieces(caller)


@pytest.fixture
def upload(pieces: Pieces) -> str:
    """The id of an upload that is under way."""
    return pieces.begin(10).rpartition("/")[2]


@pytest.fixture
def told(sessions: Sessions, tenant: TenantRow) -> dict[str, str]:
    """A webhook that cannot be called from here, and something that it was to be told."""
    with sessions.begin() as session:
        webhook = add_webhook(session, tenant.id, "http://127.0.0.1:9/hook")
    with sessions.begin() as session:
        finished_job(session, tenant.id)
        notice = session.scalars(select(NoticeRow)).one()
    return {"webhook_id": str(webhook.id), "delivery_id": str(notice.id)}


@pytest.fixture
def batch(caller: Caller) -> str:
    """The id of a batch that uploads may join."""
    batch_id: str = caller.post_json("/v1/batches", {}).json["id"]
    return batch_id


@pytest.fixture
def stranger(app: APIFlask, sessions: Sessions) -> Caller:
    """Another hospital."""
    with sessions.begin() as session:
        other = add_tenant(session, "elsewhere")
        return Caller(app.test_client(), new_key(session, other.name, "scanner"))


@pytest.fixture
def anyone(app: APIFlask) -> Caller:
    """Somebody without a key."""
    return Caller(app.test_client(), None)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A chest CT as a zip."""
    return zip_chest(tmp_path_factory.mktemp("archive") / "chest.zip").read_bytes()


@pytest.fixture
def finished(caller: Caller, archive: bytes, sessions: Sessions, store: StudyStore) -> str:
    """The id of a job that succeeded, with masks that are the phantom's own."""
    job_id: str = caller.send(archive).json["id"]
    phantom = chest()
    with sessions.begin() as session:
        claim = claim_job(session, UUID(job_id), worker="gpu", lease_s=60, max_attempts=3)
        assert claim is not None
        artifacts = [
            Artifact(kind, media_type, store.put(io.BytesIO(data), f"{job_id}/{kind}"), attributes)
            for kind, media_type, data, attributes in _files(phantom)
        ]
        finish_job(session, claim, _report(phantom), artifacts)
    return job_id


def _files(phantom: Phantom) -> Iterator[tuple[str, str, bytes, Attributes | None]]:
    middle = len(phantom.voxels) // 2
    picture = overlay_png(phantom.voxels[middle], phantom.lungs[middle], phantom.lesions[middle])
    yield "masks", "application/zip", pack_masks(phantom.lungs, phantom.lesions), None
    yield "lesions", "application/gzip", write_nifti(phantom.lesions, phantom.affine), None
    yield "lungs", "application/gzip", write_nifti(phantom.lungs, phantom.affine), None
    yield "montage", "image/png", picture, None
    yield "thumbnail", "image/png", thumbnail_png(analysis_of(phantom)), None
    for name, data in result_objects(analysis_of(phantom)):
        yield name, "application/dicom", data, read_attributes(data)


def _report(phantom: Phantom) -> Report:
    slices = tuple(
        SliceBurden(index, uid, float((lungs > 0).sum()), float((lesions > 0).sum()))
        for index, (uid, lungs, lesions) in enumerate(
            zip(phantom.volume.instance_uids, phantom.lungs, phantom.lesions, strict=True)
        )
    )
    return replace(make_report(0.1), slices=slices)
