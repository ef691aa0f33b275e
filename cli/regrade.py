# SPDX-License-Identifier: Apache-2.0
"""`hilum regrade`: other thresholds for kept reports, without the volume or a GPU."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from cli.database import database
from cli.terminal import narrate, out
from db.reports import Regraded
from db.reports import regrade as grade_anew
from db.tenants import find_tenant
from hilum.errors import InvalidRequest
from hilum.grading import MOSMED, THRESHOLDS, Thresholds


@click.command(short_help="Grade kept reports anew, without a GPU.")
@click.option(
    "--thresholds",
    default=MOSMED.version,
    show_default=True,
    help=f"One of {', '.join(THRESHOLDS)}, or a JSON file with the fields of docs/sources.md.",
)
@click.option("--tenant", help="Only this hospital's reports.")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
def regrade(thresholds: str, tenant: str | None, *, dry_run: bool) -> None:
    """Grade every report that was graded by other thresholds, in one transaction."""
    chosen = _thresholds(thresholds)
    with database() as sessions, sessions.begin() as session:
        tenant_id = None
        if tenant is not None:
            row = find_tenant(session, tenant)
            if row is None:
                raise InvalidRequest(f"There is no tenant {tenant!r}.")
            tenant_id = row.id
        changed = grade_anew(session, chosen, tenant_id=tenant_id, dry_run=dry_run)
        count, table = _tally(changed)
    out.print(table)
    would = "would be" if dry_run else "are"
    narrate(f"{count} reports {would} graded by {chosen.version} now.")


def _tally(changed: Iterable[Regraded]) -> tuple[int, Table]:
    """Return how many reports changed, and a table of verdicts before and after."""
    steps = Counter((one.before[-1], one.after[-1]) for one in changed)
    table = Table("verdict before", "verdict after", "reports", box=None)
    table.columns[2].justify = "right"
    for (before, after), count in sorted(steps.items()):
        table.add_row(before, after, str(count), style="" if before == after else "bold")
    return steps.total(), table


def _thresholds(name: str) -> Thresholds:
    if name in THRESHOLDS:
        return THRESHOLDS[name]
    path = Path(name)
    if not path.exists():
        raise InvalidRequest(
            f"There are no thresholds {name!r}; there are {', '.join(THRESHOLDS)}, and no such file."
        )
    try:
        found: Thresholds = TypeAdapter(Thresholds).validate_json(path.read_bytes())
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) or "file" for one in error.errors())
        raise InvalidRequest(f"{path} holds no thresholds; look at: {fields}.") from error
    if found.version in THRESHOLDS:
        raise InvalidRequest(
            f"{path} calls itself {found.version}, which is taken; other numbers are a new version."
        )
    return found
