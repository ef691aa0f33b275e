"""`hilum purge` and `hilum tenants keep`, as a person would type them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, text

from cli.main import hilum
from db.session import Sessions
from db.tables import AuditRow, PurgeRow, StudyRow, TenantRow
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.db.factories import queue_job
from tests.db.test_removal import UID, all_files, analyse, grow_old, keep

Command = Callable[..., Result]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `hilum` with the settings of the test in an empty folder; `say` answers questions."""
    monkeypatch.chdir(tmp_path)
    for name in ("database_url", "redis_url", "storage_url", "secret_key", "spool_dir"):
        monkeypatch.setenv(f"HILUM_{name.upper()}", str(getattr(settings, name)))
    return lambda *arguments, say="": CliRunner().invoke(
        hilum, [str(each) for each in arguments], input=say
    )


@pytest.fixture
def old(sessions: Sessions, store: StudyStore, tenant: TenantRow) -> None:
    """A study with a job that ended, received 100 days ago."""
    analyse(sessions, store, tenant.id, keep(sessions, store, tenant.id))
    grow_old(sessions, 100)


def said(result: Result) -> str:
    return " ".join(result.stderr.split())


def studies(sessions: Sessions) -> int:
    with sessions.begin() as session:
        return len(session.scalars(select(StudyRow.id)).all())


@pytest.mark.usefixtures("old")
def test_dry_run_says_what_would_go_and_keeps_it(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    shown = command("purge", "--tenant", tenant.name, "--before", "2100-01-01", "--dry-run")

    assert shown.exit_code == 0
    assert said(shown).startswith("1 studies with 1 jobs go: 3 files, 0 MiB")
    assert studies(sessions) == 1


@pytest.mark.usefixtures("old")
def test_purge_is_asked_about_done_and_proved(
    command: Command, sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    wish = ("purge", "--tenant", tenant.name, "--study", UID)
    refused = command(*wish, say="n\n")
    assert (refused.exit_code, studies(sessions)) == (1, 1)

    done = command(*wish, say="y\n")

    assert done.exit_code == 0
    assert said(done).endswith(
        "Looked for 1 studies and 1 jobs: no row and no file of them is left."
    )
    assert (studies(sessions), all_files(store)) == (0, [])
    purge_id = done.stdout.strip()
    assert purge_id in command("purge", "--list").stdout
    assert command("purge", "--prove", purge_id).exit_code == 0
    with sessions.begin() as session:
        assert session.scalars(select(AuditRow.by)).one().startswith("command ")


@pytest.mark.usefixtures("old")
def test_proof_that_fails_says_what_is_left(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    purge_id = command("purge", "--tenant", tenant.name, "--study", UID, "--yes").stdout.strip()
    with sessions.begin() as session:
        session.execute(text("DELETE FROM purged"))

    found = command("purge", "--prove", purge_id)

    assert found.exit_code == 1
    assert "a record that is not the one its hash was made of" in said(found)


def test_study_that_is_worked_on_stands_back(
    command: Command, sessions: Sessions, store: StudyStore, tenant: TenantRow
) -> None:
    study_id = keep(sessions, store, tenant.id)
    with sessions.begin() as session:
        queue_job(session, tenant.id, study_id=study_id)

    done = command("purge", "--tenant", tenant.name, "--study", UID, "--yes")

    assert said(done) == "No study is to go. 1 stand back: somebody is at them."


@pytest.mark.parametrize(
    "options", [(), ("--tenant", "st-vincent"), ("--before", "2020-01-01"), ("--study", UID)]
)
def test_half_a_wish_is_refused(command: Command, options: tuple[str, ...]) -> None:
    assert command("purge", *options).exit_code == 2


def test_unknown_purge_is_named(command: Command) -> None:
    found = command("purge", "--prove", "00000000-0000-0000-0000-000000000000")

    assert found.exit_code == 1
    assert "unknown_purge" in found.stderr


@pytest.mark.usefixtures("old")
def test_hospital_says_how_long_it_keeps(
    command: Command, sessions: Sessions, tenant: TenantRow
) -> None:
    asked = command("tenants", "keep", tenant.name, "--days", 30, say="n\n")
    assert asked.exit_code == 1
    assert "Past their time already: 1 studies" in said(asked)

    assert command("tenants", "keep", tenant.name, "--days", 30, say="y\n").exit_code == 0

    assert "for 30 days" in command("tenants", "list").stdout
    assert command("tenants", "keep", tenant.name, "--for-ever").exit_code == 0
    assert "for ever" in command("tenants", "list").stdout
    with sessions.begin() as session:
        assert session.get_one(TenantRow, tenant.id).keep_days is None
        assert session.scalars(select(PurgeRow)).all() == []


@pytest.mark.parametrize("options", [(), ("--days", "3", "--for-ever"), ("--days", "0")])
def test_number_of_days_or_for_ever(
    command: Command, tenant: TenantRow, options: tuple[str, ...]
) -> None:
    assert command("tenants", "keep", tenant.name, *options).exit_code == 2
