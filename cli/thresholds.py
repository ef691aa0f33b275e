# SPDX-License-Identifier: Apache-2.0
"""`hilum thresholds`: the cuts behind grades, those that ship and an installation's own."""

from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError
from rich.markup import escape
from rich.table import Table
from sqlalchemy.orm import Session

from cli.database import database
from cli.terminal import narrate, out
from db.regrades import BY_COMMAND, count_otherwise
from db.thresholds import (
    add_thresholds,
    choose_thresholds,
    current_thresholds,
    current_use,
    list_thresholds,
    thresholds_named,
)
from hilum.errors import InvalidRequest
from hilum.grading import Thresholds, check_thresholds


@click.group(short_help="List, add and choose the cuts behind grades.")
def thresholds() -> None:
    """List, add and choose the cuts behind grades."""


@thresholds.command(name="list")
def list_() -> None:
    """List the sets that reports may be graded by, and which one new reports are."""
    columns = (
        "version",
        "finding from",
        "CT-2, CT-3, CT-4 from",
        "Alarming from",
        "made by",
        "in use",
    )
    table = Table(*columns, box=None)
    with database() as sessions, sessions.begin() as session:
        current, use = current_thresholds(session), current_use(session)
        for kept in list_thresholds(session):
            one = kept.thresholds
            since = f"since {use.chosen_at:%Y-%m-%d}" if use else "yes"
            table.add_row(
                one.version,
                f"{one.finding_from:.1%}",
                ", ".join(f"{cut:.1%}" for cut in one.bins),
                one.alarming_from,
                escape(kept.made_by or "Hilum"),
                since if one == current else "",
            )
    out.print(table)


@thresholds.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add(file: Path) -> None:
    """Keep the thresholds of a JSON FILE; `hilum thresholds use` grades new reports by them."""
    found = read_thresholds(file)
    with database() as sessions, sessions.begin() as session:
        add_thresholds(session, found, by=BY_COMMAND)
    narrate(f"Kept {found.version}. For new reports: hilum thresholds use {found.version}")


@thresholds.command()
@click.argument("version")
def use(version: str) -> None:
    """Grade new reports by VERSION from now on; `hilum regrade` does so with older ones."""
    with database() as sessions, sessions.begin() as session:
        choose_thresholds(session, version, by=BY_COMMAND)
        older = count_otherwise(session, version)
    narrate(f"New reports are graded by {version}. {older} older ones are not: hilum regrade")


def thresholds_of(session: Session, name: str | None) -> Thresholds:
    """Return the thresholds of a version or a file; those in use where neither is named.

    Raises:
        InvalidRequest: there are none, or they are not sensible.
    """
    if name is None or not Path(name).is_file():
        return thresholds_named(session, name)
    return read_thresholds(Path(name))


def read_thresholds(path: Path) -> Thresholds:
    """Return the thresholds of a JSON file.

    Raises:
        InvalidRequest: it holds none, or they are not sensible.
    """
    try:
        found: Thresholds = TypeAdapter(Thresholds).validate_json(path.read_bytes())
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or "file" for one in error.errors())
        raise InvalidRequest(f"{path} holds no thresholds; look at: {fields}.") from error
    check_thresholds(found)
    return found
