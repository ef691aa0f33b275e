import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError

from db.schema import _config, check_migrated, head, migrate, revision
from db.session import make_engine, make_sessions
from db.tables import JobRow, ReportRow, Row, SeriesRow
from hilum.errors import PendingMigrations
from hilum.jobs import State
from tests.db.factories import queue_job


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


FILLED = """
INSERT INTO tenants (id, name, created_at) VALUES (gen_random_uuid(), 'st-vincent', now());
INSERT INTO studies (id, tenant_id, study_uid, content_sha256, instance_count, size_bytes,
        created_at)
    SELECT gen_random_uuid(), id, '1.2', hash, 2, 20, now()
    FROM tenants, unnest('{a,b,c}'::text[]) hash;
INSERT INTO series (id, study_id, series_uid, modality, description, kernel, instance_count)
    SELECT gen_random_uuid(), id, '1.2.3', 'CT', '', 'LUNG', 2 FROM studies;
INSERT INTO jobs (id, tenant_id, study_id, pipeline, network, priority, state, stage_done,
        stage_total, fraction, slice_count, attempts, cancel_requested, timings_s, created_at)
    SELECT gen_random_uuid(), tenant_id, id, 'ct-lesions', 'resnet50@2.0.0', 'routine',
        CASE content_sha256 WHEN 'a' THEN 'succeeded' WHEN 'b' THEN 'queued' ELSE 'failed' END,
        0, 0, 0, 2, 1, false, '{}', now() FROM studies;
INSERT INTO reports (id, job_id, tenant_id, study_id, pipeline, pipeline_version, network,
        network_sha256, code_version, thresholds, verdict, grade, review, lesion_share, lesion_ml,
        lung_ml, seconds_per_slice, document, created_at)
    SELECT gen_random_uuid(), id, tenant_id, study_id, pipeline, '0.9.0', network, 'cd', '0.1.0',
        'mosmed', 'Mild', 'CT-1', false, 0.1, 400, 4000, 1, '{"findings": []}', now()
    FROM jobs WHERE state = 'succeeded';
"""
"""Written as revision 0001 has it: the tables of today know columns that it lacks."""


@pytest.fixture
def filled(empty: Engine) -> Engine:
    """The same at the first revision, with jobs that succeeded, wait and failed."""
    with empty.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(FILLED)
    return empty


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


def test_filled_database_keeps_its_rows_through_every_later_step(filled: Engine) -> None:
    migrate(filled)

    with make_sessions(filled).begin() as session:
        report = session.scalars(select(ReportRow)).one()
        assert (report.verdict, report.job.network) == ("Mild", "resnet50@2.0.0")
        assert json.loads(json.dumps(report.document)) == {"findings": []}
    check_migrated(filled)


def test_job_from_before_knows_the_pipeline_that_made_its_report_or_the_first(
    filled: Engine,
) -> None:
    migrate(filled)

    with make_sessions(filled).begin() as session:
        found = {job.state: job.pipeline_version for job in session.scalars(select(JobRow))}
    assert found == {State.SUCCEEDED: "0.9.0", State.QUEUED: "1.0.0", State.FAILED: "1.0.0"}


def test_series_from_before_has_no_sheet(filled: Engine) -> None:
    migrate(filled)

    with make_sessions(filled).begin() as session:
        found = [(series.kernel, series.sheet) for series in session.scalars(select(SeriesRow))]
    assert found == [("LUNG", None)] * 3


def test_accession_number_from_before_is_a_word_of_its_patient(filled: Engine) -> None:
    config = _config()
    with filled.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0020")
        connection.exec_driver_sql("UPDATE studies SET accession_number = 'B2'")
    words = text("SELECT words::text, patient_words::text FROM cases")
    with filled.connect() as connection:
        before = connection.execute(words).all()

    migrate(filled)

    with filled.connect() as connection:
        after = connection.execute(words).all()
    assert {("'b2'" in one, "'b2'" in another) for one, another in before} == {(True, False)}
    assert {("'b2'" in one, "'b2'" in another) for one, another in after} == {(False, True)}


def test_study_from_before_is_run_again_by_the_pipeline_of_now(filled: Engine) -> None:
    migrate(filled)

    with make_sessions(filled).begin() as session:
        old = session.scalars(select(JobRow).where(JobRow.state == State.SUCCEEDED)).one()
        order = {"study_id": old.study_id, "network": old.network}
        new, again = (queue_job(session, old.tenant_id, **order) for _ in range(2))

    assert new.id == again.id != old.id


def test_migrated_database_still_refuses_a_second_run_of_the_same(filled: Engine) -> None:
    migrate(filled)

    with make_sessions(filled).begin() as session:
        live = session.scalars(select(JobRow).where(JobRow.state == State.QUEUED)).one()
        failed = session.scalars(select(JobRow).where(JobRow.state == State.FAILED)).one()
        failed.study_id, failed.network, failed.state = live.study_id, live.network, State.QUEUED
        with pytest.raises(IntegrityError, match="uq_jobs_study_pipeline_version_network"):
            session.flush()
        session.rollback()


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
