"""What every test may ask for: real servers, a clean database, a store, the shared data."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR

import hypothesis
import pytest
import redis
from pynetdicom.transport import AssociationSocket
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from cli.local import embedded_postgres, embedded_valkey
from db.schema import migrate
from db.session import Sessions, make_engine, make_sessions
from db.tables import Row, TenantRow
from db.tenants import add_tenant
from hilum.settings import Settings
from hilum.storage import StudyStore

SHARED_DATA = Path(__file__).parents[1] / "../shared/data"

# For a night, or before a release: pytest --hypothesis-profile=thorough
hypothesis.settings.register_profile("thorough", max_examples=10_000, deadline=None)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_postgres(tmp_path_factory.mktemp("postgres"), durable=False) as url:
        yield url


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_valkey(tmp_path_factory.mktemp("valkey"), durable=False) as url:
        yield url


@pytest.fixture
def redis_url(valkey_url: str) -> str:
    """An empty broker."""
    with redis.Redis.from_url(valkey_url) as client:
        client.flushall()
    return valkey_url


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[Engine]:
    engine = make_engine(postgres_url)
    migrate(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def sessions(engine: Engine) -> Sessions:
    """Sessions on an empty database."""
    # A worker of a test before may be at its row: one of the two is then told to let go, and it may
    # be this one.
    for _ in range(5):
        with suppress(OperationalError):
            empty(engine)
            return make_sessions(engine)
    empty(engine)
    return make_sessions(engine)


def empty(engine: Engine) -> None:
    tables = ", ".join(Row.metadata.tables)
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))


@pytest.fixture
def settings(sessions: Sessions, postgres_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of a whole system under the test's own folder, with nothing in its memory yet."""
    assert sessions
    return Settings(
        database_url=postgres_url,
        redis_url=redis_url,
        storage_url=f"file://{tmp_path / 'store'}",
        secret_key="0123456789abcdef0123456789abcdef",
        spool_dir=tmp_path / "spool",
        device="cpu",
        # Tests run beside each other; two threads that wait for each other take ten times as long.
        threads=1,
        min_free_mb=16,
    )


@pytest.fixture
def scanners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let scanners of pynetdicom close what their other end has closed, which they leave open."""

    def close(association: AssociationSocket) -> None:
        if association.socket is not None:
            with suppress(OSError):
                association.socket.shutdown(SHUT_RDWR)
            association.socket.close()

    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", close)


@pytest.fixture
def store(settings: Settings) -> StudyStore:
    return StudyStore.open(settings.storage_url, min_free_mb=settings.min_free_mb)


@pytest.fixture
def tenant(sessions: Sessions) -> TenantRow:
    with sessions.begin() as session:
        return add_tenant(session, "st-vincent")


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site folder with the networks `ward@1.0.0` and `other@1.0.0`; never write to it."""
    # Most tests need no torch, which takes seconds to load.
    from tests.networks import import_untrained, write_untrained  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("networks")
    source = write_untrained(folder / "maskrcnn-untrained.safetensors")
    for name in ("ward", "other"):
        import_untrained(source, folder / "site", name=name)
    return folder / "site"


@pytest.fixture
def site(imported: Path, tmp_path: Path) -> Path:
    """The same networks in a folder of the test's own."""
    folder = tmp_path / "site"
    folder.mkdir()
    for path in imported.iterdir():
        (folder / path.name).hardlink_to(path)
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The images for development, which are not part of the project."""
    if not SHARED_DATA.exists():
        pytest.skip("the shared data is not beside this checkout")
    return SHARED_DATA
