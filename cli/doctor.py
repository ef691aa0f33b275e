# SPDX-License-Identifier: Apache-2.0
"""`hilum doctor`: is this installation fit to work, and if not, which part is it."""

import json
import sys

import click
from rich.markup import escape
from rich.table import Table

from cli.checks import INSTALLATION, check_machine
from cli.home import find_settings
from cli.terminal import out
from hilum.errors import MissingSetting
from hilum.health import Check, Health

STYLE = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red"}

FAILED = 2
"""Exit status: what is wrong is the installation."""


@click.command(short_help="Check the settings and everything they name.")
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON.")
def doctor(*, as_json: bool) -> None:
    """Check the settings and everything they name; exit with 2 where something failed."""
    checks = examine()
    if as_json:
        rows = [{"name": one.name, "health": one.health, "detail": one.detail} for one in checks]
        click.echo(json.dumps(rows, indent=2))
    else:
        out.print(_table(checks))
    if any(one.health is Health.FAIL for one in checks):
        sys.exit(FAILED)


def examine() -> list[Check]:
    """Return the outcome of every check; without settings, of those that need none."""
    machine = list(check_machine())
    try:
        settings = find_settings()
    except MissingSetting as error:
        return [
            *machine,
            Check("settings", Health.FAIL, f"{error.message} `hilum serve` brings its own."),
        ]
    complete = Check("settings", Health.OK, "complete")
    return [*machine, complete, *(one for look in INSTALLATION for one in look(settings))]


def _table(checks: list[Check]) -> Table:
    table = Table("check", "", "detail", box=None)
    for one in checks:
        table.add_row(one.name, f"[{STYLE[one.health]}]{one.health}[/]", escape(one.detail))
    return table
