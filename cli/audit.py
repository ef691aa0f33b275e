# SPDX-License-Identifier: Apache-2.0
"""`hilum audit`: who did what, as a list, as a file, and whether anybody changed it since."""

import sys
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click
from rich.markup import escape
from rich.table import Table

from cli.account import account
from cli.database import database
from cli.terminal import narrate, out
from db.audit import (
    AuditFilter,
    append,
    iterate_entries,
    list_entries,
    read_head,
    verify_log,
)
from db.pages import LARGEST_PAGE, Page
from db.scope import EVERYTHING
from db.session import Sessions
from db.tables import AuditRow
from db.tenants import tenant_named
from hilum.audit import Action, Entry, Head, Verification, canonical, read_lines, verify

CHANGED: Final = 1
"""Exit status: the log is not as it was written."""

MOMENT: Final = click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"))


def choosing(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that choose entries, and the filter they come to."""

    @click.option("--by", help="Of whoever's name begins so.")
    @click.option("--action", help="Such as case.viewed, or case for all that begin so.")
    @click.option("--subject", help="About exactly this: the id of a study or job, a user.")
    @click.option("--tenant", help="Of this hospital.")
    @click.option("--since", type=MOMENT, help="At this time or later, as 2026-11-22T08:00.")
    @click.option("--until", type=MOMENT, help="Before this time.")
    @wraps(command)
    def wrapped(
        tenant: str | None, since: datetime | None, until: datetime | None, **options: Any
    ) -> None:
        asked = {name: options.pop(name) for name in ("by", "action", "subject")}
        with database() as sessions:
            with sessions.begin() as session:
                tenant_id = tenant_named(session, tenant).id if tenant else None
            # Times without a zone are those of the clock on this machine's wall.
            chosen = AuditFilter(
                **asked,
                tenant_id=tenant_id,
                since=since and since.astimezone(),
                until=until and until.astimezone(),
            )
            command(sessions, chosen, **options)

    return wrapped


@click.group(short_help="Show who did what, and whether anybody changed that since.")
def audit() -> None:
    """List, export and verify the audit log: who did what, and who looked at whose images."""


@audit.command(name="list")
@choosing
@click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), default=50, show_default=True)
def list_(sessions: Sessions, chosen: AuditFilter, limit: int) -> None:
    """List entries, the newest first."""
    table = Table("id", "at", "by", "action", "subject", "detail", "address", box=None)
    with sessions.begin() as session:
        found = list_entries(session, EVERYTHING, chosen, Page(limit=limit, sort="-at"))
    for row in found.rows:
        table.add_row(*map(escape, _cells(row)))
    out.print(table)


@audit.command()
@choosing
def export(sessions: Sessions, chosen: AuditFilter) -> None:
    """Print entries as JSON Lines, the oldest first, to be verified anywhere."""
    count = 0
    for record in iterate_entries(sessions, EVERYTHING, chosen):
        click.echo(canonical(record.to_json()))
        count += 1
    with sessions.begin() as session:
        head = read_head(session)
        append(session, Entry(account(), Action.AUDIT_EXPORTED, detail={"entries": count}))
    narrate(f"{count} entries. The log had {head.count}, the last with the hash {head.sha256}.")


@audit.command(name="verify")
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="An export instead of the database.",
)
@click.option("--part", is_flag=True, help="The file is a choice: entries may lack in between.")
@click.option("--head", "sha256", help="Hash that was kept elsewhere.")
@click.option("--count", type=click.IntRange(1), help="Number of the entry that had it.")
def verify_(path: Path | None, sha256: str | None, count: int | None, *, part: bool) -> None:
    """Look whether every entry is as it was written; exit with 1 where one is not.

    That the end was cut off shows only against a hash that was kept elsewhere: --head and --count.
    """
    if (sha256 is None) != (count is None):
        raise click.UsageError("Give --head and --count together.")
    kept = Head(count, sha256.lower()) if sha256 and count else None
    if path is None:
        if part:
            raise click.UsageError("Give --part with --file.")
        found = _verify_database(kept)
    else:
        with click.open_file(str(path), encoding="utf-8") as lines:
            found = verify(read_lines(lines), kept=kept, is_part=part)
    narrate(describe(found))
    if not found.is_whole:
        sys.exit(CHANGED)
    out.print(f"{found.head.count} {found.head.sha256}", markup=False, soft_wrap=True)


def _verify_database(kept: Head | None) -> Verification:
    with database() as sessions:
        with sessions.begin() as session:
            found = verify_log(session, kept)
        with sessions.begin() as session:
            detail = {"entries": found.count, "is_whole": found.is_whole}
            append(session, Entry(account(), Action.AUDIT_VERIFIED, detail=detail))
    return found


def describe(found: Verification) -> str:
    """Return what a look at the log found, as a sentence."""
    if found.broken is not None:
        return (
            f"{found.broken.reason} The {found.count} entries before it are as they were written."
        )
    return (
        f"{found.count} entries are as they were written. Keep the number and the hash elsewhere:"
    )


def _cells(row: AuditRow) -> tuple[str, ...]:
    detail = canonical(row.detail) if row.detail else ""
    at = f"{row.at.astimezone():%Y-%m-%d %H:%M:%S}"
    return (str(row.id), at, row.by, row.action, row.subject, detail, row.address or "")
