# SPDX-License-Identifier: Apache-2.0
"""`hilum regrade`: other thresholds for kept reports, without the volume or a GPU."""

from collections import Counter
from collections.abc import Mapping

import click
from rich.table import Table
from sqlalchemy.orm import Session

from cli.account import remember
from cli.database import database
from cli.terminal import narrate, out
from cli.thresholds import thresholds_of
from db.regrades import BY_COMMAND, foretell
from db.regrades import regrade as grade_anew
from db.scope import EVERYTHING, Scope
from db.tenants import tenant_named
from db.thresholds import add_thresholds
from hilum.audit import Action
from hilum.grading import THRESHOLDS, Thresholds


@click.command(short_help="Grade kept reports anew, without a GPU.")
@click.option(
    "--thresholds",
    metavar="VERSION|FILE",
    help="Those that new reports are graded by if not given.",
)
@click.option("--tenant", help="Only this hospital's reports.")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
def regrade(thresholds: str | None, tenant: str | None, *, dry_run: bool) -> None:
    """Grade every report that was graded by other thresholds, in one transaction."""
    with database() as sessions, sessions.begin() as session:
        chosen = thresholds_of(session, thresholds)
        scope = EVERYTHING if tenant is None else Scope.of(tenant_named(session, tenant).id)
        steps = _foretell(session, chosen, scope) if dry_run else _do(session, chosen, scope)
    out.print(_table(steps))
    would = "would be" if dry_run else "are"
    narrate(f"{sum(steps.values())} reports {would} graded by {chosen.version} now.")


def _foretell(session: Session, chosen: Thresholds, scope: Scope) -> Mapping[tuple[str, str], int]:
    steps: Counter[tuple[str, str]] = Counter()
    for change in foretell(session, chosen, scope):
        steps[change.before[-1], change.after[-1]] += change.count
    return steps


def _do(session: Session, chosen: Thresholds, scope: Scope) -> Mapping[tuple[str, str], int]:
    if chosen.version not in THRESHOLDS:
        # A report that they graded must be explained for as long as it is there.
        add_thresholds(session, chosen, by=BY_COMMAND)
    changed = list(grade_anew(session, chosen, scope))
    remember(session, Action.REGRADED, chosen.version, detail={"reports": len(changed)})
    return Counter((one.before[-1], one.after[-1]) for one in changed)


def _table(steps: Mapping[tuple[str, str], int]) -> Table:
    """Return a table of verdicts before and after."""
    table = Table("verdict before", "verdict after", "reports", box=None)
    table.columns[2].justify = "right"
    for (before, after), count in sorted(steps.items()):
        table.add_row(before, after, str(count), style="" if before == after else "bold")
    return table
