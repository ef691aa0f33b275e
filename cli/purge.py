# SPDX-License-Identifier: Apache-2.0
"""`hilum purge`: studies that go for good, with everything of them, and the proof that they have."""

import sys
from datetime import datetime
from typing import Final
from uuid import UUID

import click
from rich.table import Table

from cli.account import account
from cli.database import database
from cli.home import find_settings
from cli.terminal import narrate, out
from db.proof import Proof, prove
from db.purges import Chosen, Preview, Wish, find_purge, list_purges, preview
from db.removal import purge
from db.scope import EVERYTHING
from db.tenants import list_tenants, tenant_named
from hilum.settings import MIB
from hilum.storage import StudyStore

LEFT: Final = 1
"""Exit status: something is left."""


@click.command(name="purge", short_help="Remove studies for good, and prove it.")
@click.option("--tenant", help="Hospital whose studies go.")
@click.option(
    "--before", type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M")), help="Received before then."
)
@click.option("--study", metavar="UID", help="Every upload of this study.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--list", "listing", is_flag=True, help="List what was purged.")
@click.option("--prove", "proving", type=click.UUID, metavar="ID", help="Look whether it is gone.")
def purge_(
    tenant: str | None,
    before: datetime | None,
    study: str | None,
    *,
    dry_run: bool,
    yes: bool,
    listing: bool,
    proving: UUID | None,
) -> None:
    """Remove studies for good: rows and files, of them and of everything that jobs made of them.

    What is queued, runs or is being sent stands back. The audit log remains, with ids alone.
    """
    if listing:
        _list()
    elif proving is not None:
        _prove(proving)
    elif tenant is None or (before is None and study is None):
        raise click.UsageError(
            "Give --tenant with --before, --study or both; or --list, or --prove."
        )
    else:
        _purge(tenant, before, study, is_dry=dry_run, is_sure=yes)


def _purge(
    tenant: str, before: datetime | None, study: str | None, *, is_dry: bool, is_sure: bool
) -> None:
    with database() as sessions:
        with sessions.begin() as session:
            tenant_id = tenant_named(session, tenant).id
            chosen = Chosen(tenant_id, before and before.astimezone(), study)
            going = preview(session, EVERYTHING, chosen)
        narrate(describe(going))
        if is_dry or not going.studies:
            return
        if not is_sure:
            click.confirm("Remove them for good?", abort=True, err=True)
        store = StudyStore.open(find_settings().storage_url)
        purge_id = purge(sessions, store, Wish(chosen, EVERYTHING, account()))
    if purge_id is not None:
        out.print(str(purge_id))
        _prove(purge_id)


def _list() -> None:
    table = Table("id", "at", "tenant", "by", "reason", "studies", "jobs", "files", "MiB", box=None)
    with database() as sessions, sessions.begin() as session:
        names = {tenant.id: tenant.name for tenant in list_tenants(session)}
        for row in list_purges(session, EVERYTHING):
            at = f"{row.at.astimezone():%Y-%m-%d %H:%M}"
            counts = map(str, (row.studies, row.jobs, row.files, row.bytes // MIB))
            table.add_row(str(row.id), at, names[row.tenant_id], row.by, row.reason, *counts)
    out.print(table)


def _prove(purge_id: UUID) -> None:
    store = StudyStore.open(find_settings().storage_url)
    with database() as sessions, sessions.begin() as session:
        found = prove(session, store, find_purge(session, EVERYTHING, purge_id))
    narrate(tell(found))
    if not found.is_gone:
        sys.exit(LEFT)


def describe(going: Preview) -> str:
    """Return what would go, as a sentence."""
    stays = f" {going.under_way} stand back: somebody is at them." if going.under_way else ""
    if going.oldest is None or going.newest is None:
        return f"No study is to go.{stays}"
    return (
        f"{going.studies} studies with {going.jobs} jobs go: {going.files} files,"
        f" {going.bytes // MIB} MiB, received {going.oldest:%Y-%m-%d} to"
        f" {going.newest:%Y-%m-%d}.{stays}"
    )


def tell(found: Proof) -> str:
    """Return what a look for purged studies found, as a sentence."""
    looked = f"Looked for {found.studies} studies and {found.jobs} jobs"
    if found.is_gone:
        return f"{looked}: no row and no file of them is left."
    rows = [f"{count} rows of {table}" for table, count in sorted(found.rows.items())]
    folders = [f"{found.folders} folders, {found.noted} of them noted for the upkeep"]
    record = [] if found.is_recorded else ["a record that is not the one its hash was made of"]
    left = [*rows, *(folders if found.folders else []), *record]
    return f"{looked}: there are {', '.join(left)}."
