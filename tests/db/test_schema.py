import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text

from db.schema import _config, check_migrated, head, migrate, revision
from db.session import make_engine, make_sessions
from db.tables import ReportRow, Row
from db.tenants import add_tenant
from hilum.errors import PendingMigrations
from tests.db.factories import finished_job


@pytest.fixture
def empty(postgres_url: str) -> Iterator[Engine]:
    """An engine on a database of its own, without a single table."""
    server = make_engine(postgres_url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DROP DATABASE IF EXISTS empty"))
        connection.execute(text("CREATE DATABASE empty"))
    server.dispose()
    engine = make_engine(server.url.set(database="empty").render_as_string(hide_password=False))
    yield engine
    engine.dispose()


def test_empty_database_is_brought_to_the_newest_revision(empty: Engine) -> None:
    migrate(empty)

    assert revision(empty) == head()
    check_migrated(empty)


def test_tables_and_migrations_agree(empty: Engine) -> None:
    migrate(empty)

    with empty.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Row.metadata)

    assert differences == []


def test_filled_database_keeps_its_rows_through_every_later_step(empty: Engine) -> None:
    with empty.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with make_sessions(empty).begin() as session:
        finished_job(session, add_tenant(session, "st-vincent").id)

    migrate(empty)

    with make_sessions(empty).begin() as session:
        report = session.query(ReportRow).one()
        assert report.verdict == "Mild"
        assert json.loads(json.dumps(report.document))["findings"][0]["label"] == "consolidation"


def test_two_processes_that_start_at_once_migrate_once(empty: Engine) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(migrate, [empty, empty]))

    assert revision(empty) == head()


def test_database_that_is_behind_is_refused_with_the_way_out(empty: Engine) -> None:
    with pytest.raises(PendingMigrations, match=rf"none, expected {head()}.*hilum migrate"):
        check_migrated(empty)


def test_database_url_may_leave_out_the_driver(postgres_url: str) -> None:
    engine = make_engine(postgres_url.replace("+psycopg", ""))

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()
