"""What an installation grades by, as a person would type it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from db.session import Sessions
from db.tables import ReportRow, TenantRow
from db.thresholds import current_thresholds, list_thresholds
from hilum.grading import MOSMED
from tests.cli.conftest import Command
from tests.db.factories import finished_job

OWN = {
    "version": "ward-7.1",
    "finding_from": 0.01,
    "bins": [0.08, 0.5, 0.75],
    "alarming_from": "CT-2",
    "review_margin": 0.05,
    "finding_margin": 0.003,
    "source": "The ward's own choice.",
}

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write thresholds to a file, with changes."""

    def write(**changes: object) -> Path:
        path = tmp_path / "thresholds.json"
        path.write_text(json.dumps(OWN | changes))
        return path

    return write


def test_own_thresholds_are_added_and_used_for_new_reports(
    command: Command, write: Write, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)

    added = command("thresholds", "add", write())
    used = command("thresholds", "use", "ward-7.1")
    listed = command("thresholds", "list")

    assert (added.exit_code, used.exit_code) == (0, 0), added.output + used.output
    assert "1 older ones are not" in used.stderr
    with sessions.begin() as session:
        assert current_thresholds(session).version == "ward-7.1"
    [shipped, own] = listed.stdout.splitlines()[1:]
    assert (MOSMED.version in shipped, "since" in shipped) == (True, False)
    assert all(text in own for text in ("ward-7.1", "8.0%, 50.0%, 75.0%", "command", "since 2"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bins": [0.5, 0.1, 0.2]}, "rise"),
        ({"bins": [0.5, 0.6]}, "look at: bins"),
        ({"version": MOSMED.version}, "is taken"),
        ({"version": "a b"}, "A version is"),
    ],
)
@pytest.mark.usefixtures("sessions")
def test_thresholds_that_make_no_sense_are_neither_added_nor_used(
    command: Command, write: Write, changes: dict[str, object], sentence: str
) -> None:
    path = write(**changes)

    for words in (("thresholds", "add", path), ("regrade", "--thresholds", path)):
        result = command(*words)

        assert result.exit_code == 1
        assert sentence in result.stderr


@pytest.mark.usefixtures("sessions")
def test_unknown_version_is_refused_with_those_there_are(command: Command) -> None:
    result = command("thresholds", "use", "lenient")

    assert result.exit_code == 1
    assert MOSMED.version in result.stderr


def test_thresholds_of_a_file_are_kept_once_they_graded_something(
    command: Command, write: Write, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)
    kept = []

    for more in (["--dry-run"], []):
        result = command("regrade", "--thresholds", write(), "--tenant", tenant.name, *more)
        assert "1 reports" in result.stderr, result.output
        assert result.stdout.splitlines()[1].split() == ["Mild", "Alarming", "1"]
        with sessions.begin() as session:
            kept.append(len(list_thresholds(session)))

    with sessions.begin() as session:
        assert session.scalars(select(ReportRow.thresholds)).all() == ["ward-7.1"]
    assert kept == [1, 2]
    assert "0 reports" in command("regrade", "--thresholds", "ward-7.1").stderr


def test_grading_anew_goes_by_what_new_reports_are_graded_by(
    command: Command, write: Write, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)
    command("thresholds", "add", write())
    command("thresholds", "use", "ward-7.1")

    result = command("regrade")

    assert "1 reports are graded by ward-7.1 now" in result.stderr
