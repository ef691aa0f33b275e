"""The app on real PostgreSQL and Valkey, hospitals that call it, and jobs with real results."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apiflask import APIFlask
from sqlalchemy import select

from api import create_app
from api.parts import EXTENSION, Parts
from db.session import Sessions
from db.tables import NoticeRow, TenantRow
from db.tenants import add_tenant, new_key
from db.webhooks import add_webhook
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.api.caller import Caller
from tests.api.finishing import finish
from tests.api.pieces import Pieces
from tests.db.factories import finished_job
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
    finish(sessions, store, job_id, chest())
    return job_id
