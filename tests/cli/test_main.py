import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from cli.main import COMMANDS, hilum
from hilum.errors import MissingSetting, NoDicom


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_loads_and_says_the_tables_sentence(name: str) -> None:
    command = hilum.get_command(click.Context(hilum), name)

    assert command is not None
    assert command.name == name
    assert command.get_short_help_str(200) == COMMANDS[name][1]


def test_help_lists_every_command_and_loads_neither_torch_nor_a_framework() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from cli.main import hilum;"
        "print(CliRunner().invoke(hilum, ['--help']).output);"
        "print('loaded:', {'torch', 'flask', 'celery', 'sqlalchemy', 'numpy'} & set(sys.modules))"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "loaded: set()" in shown
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(hilum, ["heal"])

    assert result.exit_code == 2
    assert "heal" in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [(NoDicom("There is nothing in ct/."), 1), (MissingSetting("HILUM_X is not set."), 2)],
)
def test_an_error_hilum_can_name_is_one_line_with_its_code(
    error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(hilum, "get_command", lambda *_: failing)

    result = CliRunner().invoke(hilum, ["failing"])

    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr == f"Error: {error} [{error.code}]\n"


def test_missing_settings_are_named_before_anything_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.chdir(str(tmp_path))
    for name in ("DATABASE_URL", "REDIS_URL", "STORAGE_URL", "SECRET_KEY"):
        monkeypatch.delenv(f"HILUM_{name}", raising=False)

    result = CliRunner().invoke(hilum, ["tenants", "list"])

    assert result.exit_code == 2
    assert "HILUM_DATABASE_URL" in result.stderr
    assert "[missing_setting]" in result.stderr
