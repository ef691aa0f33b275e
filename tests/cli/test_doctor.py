import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from cli import checks
from cli.checks import (
    check_memory,
    check_networks,
    check_queue,
    check_scripts,
    check_storage,
    check_timeouts,
)
from cli.main import hilum
from db.drains import drain_worker
from db.health import check_pauses, check_upkeep
from db.pauses import pause_queue
from db.session import Sessions
from db.tables import TenantRow
from db.upkeep import note_upkeep
from db.workers import Load, Work, heartbeat
from hilum.health import Check, Health
from hilum.settings import Settings
from tests.db.test_workers import make_worker


def by_name(found: object) -> dict[str, Check]:
    assert hasattr(found, "__iter__")
    return {check.name: check for check in found}


def changed(settings: Settings, **values: object) -> Settings:
    return Settings(**{**settings.model_dump(), **values})


@pytest.mark.usefixtures("engine")
def test_a_sound_installation_passes(settings: Settings) -> None:
    found = [check for look in checks.INSTALLATION for check in look(settings)]

    assert [check for check in found if check.health is Health.FAIL] == []
    assert {check.name for check in found} == {
        "database",
        "migrations",
        "upkeep",
        "queue",
        "queue memory",
        "broker_transport_options",
        "result_backend_transport_options",
        "visibility_timeout",
        "storage",
        "spool",
        "network",
    }


def test_doctor_says_what_is_paused_by_whom_and_who_is_drained(
    engine: Engine, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        pause_queue(session, tenant.id, by="user otto", reason="The scanner is moved.")
        heartbeat(session, make_worker("ward-3:17"), Work(), Load())
        drain_worker(session, "ward-3:17", by="user ada")

    found = by_name(check_pauses(engine))

    assert {name: check.health for name, check in found.items()} == {
        "paused": Health.WARN,
        "drained": Health.WARN,
    }
    for word in (tenant.name, "user otto", "The scanner is moved."):
        assert word in found["paused"].detail
    assert "ward-3:17" in found["drained"].detail


def test_a_database_that_is_away_is_told_without_its_password(settings: Settings) -> None:
    away = changed(settings, database_url="postgresql://hilum:geheim@127.0.0.1:9/hilum")

    found = by_name(check_memory(away))

    assert found["database"].health is Health.FAIL
    assert "geheim" not in found["database"].detail


def test_an_empty_database_lacks_its_migrations(settings: Settings, engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS doctor_empty")
        connection.exec_driver_sql("CREATE DATABASE doctor_empty")
    empty = settings.database_url.replace("/hilum?", "/doctor_empty?")

    found = by_name(check_memory(changed(settings, database_url=empty)))

    assert found["database"].health is Health.OK
    assert found["migrations"].health is Health.FAIL
    assert "hilum migrate" in found["migrations"].detail


def test_a_queue_that_is_away_is_told(settings: Settings) -> None:
    found = by_name(check_queue(changed(settings, redis_url="redis://:geheim@127.0.0.1:9/0")))

    assert found["queue"].health is Health.FAIL
    assert "geheim" not in found["queue"].detail


def test_a_visibility_timeout_shorter_than_a_job_fails(settings: Settings) -> None:
    short = changed(settings, task_time_limit_s=3600, visibility_timeout_s=1800)

    [check] = check_timeouts(short)

    assert check.health is Health.FAIL
    assert "1800" in check.detail


def test_a_store_that_cannot_be_written_fails(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")

    found = by_name(check_storage(changed(settings, storage_url=f"file://{tmp_path}/file/store")))

    assert found["storage"].health is Health.FAIL


def test_a_look_at_the_store_leaves_nothing_behind(settings: Settings, tmp_path: Path) -> None:
    list(check_storage(settings))

    assert [path for path in (tmp_path / "store").rglob("*") if path.is_file()] == []


def test_a_hospitals_own_networks_are_looked_at(settings: Settings, site: Path) -> None:
    (site / "other-1.0.0.safetensors").unlink()

    found = by_name(check_networks(changed(settings, weights=str(site), network="ward")))

    assert (found["network"].health, found["weights ward@1.0.0"].health) == (Health.OK, Health.OK)
    assert "ward@1.0.0" in found["network"].detail
    assert found["weights other-1.0.0"].health is Health.FAIL


@pytest.mark.parametrize("name", ["away", "file"])
def test_a_folder_of_networks_that_cannot_be_read_fails(
    settings: Settings, tmp_path: Path, name: str
) -> None:
    (tmp_path / "file").touch()

    found = by_name(check_networks(changed(settings, weights=str(tmp_path / name))))

    assert found["network"].health is Health.OK
    assert found["own networks"].health is Health.FAIL
    assert str(tmp_path / name) in found["own networks"].detail


def test_a_usual_network_that_is_not_there_fails(settings: Settings) -> None:
    [check] = check_networks(changed(settings, network="resnet9000"))

    assert check.health is Health.FAIL
    assert "HILUM_NETWORK" in check.detail


def test_without_settings_the_machine_is_examined_and_the_status_is_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "REDIS_URL", "STORAGE_URL", "SECRET_KEY"):
        monkeypatch.delenv(f"HILUM_{name}", raising=False)

    result = CliRunner().invoke(hilum, ["doctor", "--json"])

    found = {row["name"]: row["health"] for row in json.loads(result.stdout)}
    assert result.exit_code == 2
    assert found["settings"] == "fail"
    assert found["decoders"] == "ok"
    assert found["scripts"] == "ok"
    assert found["weights resnet50"] == "ok"


def test_scripts_that_pages_lack_are_named_with_what_to_do() -> None:
    found = check_scripts(["htmx.org/htmx.min.js"])

    assert found.health is Health.WARN
    assert "htmx.org/htmx.min.js: run `make install`" in found.detail


def test_upkeep_is_missed_where_there_is_none_and_where_it_stopped(
    engine: Engine, sessions: Sessions
) -> None:
    [never] = check_upkeep(engine)
    with sessions.begin() as session:
        note_upkeep(session, "gpu-1:17")
    [lately] = check_upkeep(engine)
    with sessions.begin() as session:
        session.execute(text("UPDATE upkeep SET seen_at = now() - interval '5 minutes'"))
    [late] = check_upkeep(engine)

    assert [one.health for one in (never, lately, late)] == [Health.WARN, Health.OK, Health.WARN]
    assert "hilum beat" in late.detail
