"""`hilum audit`, as a person would type it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, text

from cli.account import account
from cli.main import hilum
from db.audit import append
from db.session import Sessions
from db.tables import AuditRow, TenantRow
from hilum.audit import Action, Entry
from hilum.settings import Settings

Command = Callable[..., Result]


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `hilum` with the settings of the test in an empty folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("database_url", "redis_url", "storage_url", "secret_key", "spool_dir"):
        monkeypatch.setenv(f"HILUM_{name.upper()}", str(getattr(settings, name)))
    return lambda *arguments: CliRunner().invoke(hilum, [str(each) for each in arguments])


@pytest.fixture
def log(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for number in range(1, 4):
            viewed = Entry("m.curie", Action.CASE_VIEWED, tenant.id, f"job-{number}")
            append(session, viewed, Entry("upkeep", Action.PURGED, subject="[red]"))


@pytest.fixture
def export(command: Command, log: None, tmp_path: Path) -> Path:  # noqa: ARG001 - there is one to export
    """A file with the whole log."""
    path = tmp_path / "audit.jsonl"
    path.write_text(command("audit", "export").stdout)
    return path


@pytest.mark.usefixtures("log")
def test_list_shows_the_newest_first(command: Command) -> None:
    shown = command("audit", "list", "--limit", 3).stdout

    assert [line.split()[0] for line in shown.splitlines()] == ["id", "6", "5", "4"]
    assert "job-3" in shown
    assert "[red]" in shown


@pytest.mark.usefixtures("log")
def test_list_is_narrowed_by_options(command: Command, tenant: TenantRow) -> None:
    chosen = ("--tenant", tenant.name, "--by", "m.", "--action", "case", "--subject", "job-2")
    shown = command("audit", "list", *chosen, "--since", "2026-01-01", "--until", "2100-01-01")

    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["id", "3"]


def test_unknown_hospital_is_named(command: Command) -> None:
    found = command("audit", "list", "--tenant", "nowhere")

    assert found.exit_code == 1
    assert "'nowhere'" in found.stderr


@pytest.mark.usefixtures("log")
def test_verify_prints_what_is_to_be_kept_elsewhere(command: Command, sessions: Sessions) -> None:
    found = command("audit", "verify")

    with sessions.begin() as session:
        sixth, last = (session.get_one(AuditRow, number) for number in (6, 7))
    assert (found.exit_code, found.stdout) == (0, f"6 {sixth.sha256}\n")
    assert (last.action, last.detail) == (Action.AUDIT_VERIFIED, {"entries": 6, "is_whole": True})
    assert last.by.startswith("command ")


@pytest.mark.usefixtures("log")
def test_log_that_was_cut_off_is_found_by_what_was_kept(
    command: Command, sessions: Sessions
) -> None:
    count, sha256 = command("audit", "verify").stdout.split()
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE audit DISABLE TRIGGER audit_is_appended_to"))
        session.execute(text("DELETE FROM audit WHERE id > 4"))
        session.execute(text("ALTER TABLE audit ENABLE TRIGGER audit_is_appended_to"))

    found = command("audit", "verify", "--head", sha256, "--count", count)

    assert found.exit_code == 1
    assert found.stdout == ""
    assert "ends after entry 4, expected 6 or more" in " ".join(found.stderr.split())
    with sessions.begin() as session:
        newest = session.scalars(select(AuditRow).order_by(AuditRow.id.desc()).limit(1)).one()
        assert newest.detail == {"entries": 4, "is_whole": False}


def test_export_is_verified_without_a_database(
    command: Command, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HILUM_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")

    found = command("audit", "verify", "--file", export)

    assert found.exit_code == 0
    assert found.stdout.split()[0] == "6"


def test_export_that_was_edited_is_found(command: Command, export: Path) -> None:
    export.write_text(export.read_text().replace("job-2", "job-9"))

    found = command("audit", "verify", "--file", export)

    assert found.exit_code == 1
    assert "Entry 3 is not what was written" in " ".join(found.stderr.split())


def test_file_that_is_no_export_is_named_by_its_line(command: Command, export: Path) -> None:
    export.write_text(export.read_text() + "not json\n")

    found = command("audit", "verify", "--file", export)

    assert found.exit_code == 1
    assert "Line 7 is no entry" in " ".join(found.stderr.split())


def test_chosen_part_is_verified_as_one(command: Command, export: Path, tenant: TenantRow) -> None:
    export.write_text(command("audit", "export", "--tenant", tenant.name).stdout)

    assert command("audit", "verify", "--file", export).exit_code == 1
    assert command("audit", "verify", "--file", export, "--part").exit_code == 0


def test_export_is_in_the_log(export: Path, sessions: Sessions) -> None:
    with sessions.begin() as session:
        row = session.get_one(AuditRow, 7)

    assert (row.action, row.detail) == (Action.AUDIT_EXPORTED, {"entries": 6})
    assert len(list(map(json.loads, export.read_text().splitlines()))) == 6


@pytest.mark.parametrize("options", [("--head", "ab"), ("--count", "3"), ("--part",)])
def test_half_a_question_is_refused(command: Command, options: tuple[str, ...]) -> None:
    assert command("audit", "verify", *options).exit_code == 2


def test_what_commands_change_is_in_the_log_without_its_secrets(
    command: Command, sessions: Sessions, tmp_path: Path
) -> None:
    secret = tmp_path / "authorization"
    secret.write_text("Bearer very-secret")
    stow = ("--stow", "https://archive.example/dicom", "--authorization", secret)

    said = [
        command("tenants", "add", "ward"),
        command("tenants", "quota", "ward", "--jobs", 5),
        command("tenants", "deidentify", "ward"),
        command("keys", "new", "ward", "--label", "pacs"),
        command("keys", "revoke", "ward", "--label", "pacs"),
        command("destinations", "add", "archive", "ward", *stow),
        command("destinations", "remove", "archive", "ward"),
        command("users", "add", "ada", "--role", "admin"),
        command("users", "disable", "ada"),
    ]

    assert [one.exit_code for one in said] == [0] * len(said), [one.output for one in said]
    with sessions.begin() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
        told = json.dumps([row.detail for row in rows])
    assert [row.action for row in rows] == [
        "tenant.added",
        "tenant.changed",
        "tenant.changed",
        "key.made",
        "key.revoked",
        "destination.changed",
        "destination.changed",
        "user.added",
        "user.changed",
    ]
    assert {row.by for row in rows} == {account()}
    assert "secret" not in told
    assert said[3].stdout.strip() not in told
