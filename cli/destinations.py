# SPDX-License-Identifier: Apache-2.0
"""`hilum destinations`: the archives that a hospital's results are sent to."""

from pathlib import Path

import click
from rich.table import Table

from api.push.courier import echo
from cli.account import remember
from cli.database import database
from cli.home import find_settings
from cli.terminal import narrate, out
from db.deliveries import count_by_state, retry_failed
from db.destinations import (
    add_destination,
    find_destination,
    list_destinations,
    remove_destination,
)
from db.tables import OPEN
from hilum.audit import Action
from hilum.catalogue import RESULTS
from hilum.destinations import (
    ADDRESS,
    CALLING,
    CONTENTS,
    Address,
    DeliveryState,
    parse_entity,
    parse_service,
)


@click.group(short_help="Name the archives that results are sent to.")
def destinations() -> None:
    """Add, list, try, retry and remove the archives that a hospital's results are sent to."""


@destinations.command()
@click.argument("name")
@click.argument("tenant")
@click.option("--dimse", metavar="TITLE@HOST:PORT", help="An archive that takes C-STORE.")
@click.option("--calling", default=CALLING, show_default=True, help="Title to call it by.")
@click.option("--tls", is_flag=True, help="Speak TLS with it.")
@click.option("--stow", metavar="URL", help="An archive that takes STOW-RS.")
@click.option(
    "--authorization",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the value of the Authorization header.",
)
@click.option(
    "--send",
    "contents",
    type=click.Choice(CONTENTS),
    multiple=True,
    default=RESULTS,
    show_default=True,
    help="What it gets; several times for several.",
)
@click.option("--deidentify", is_flag=True, help="Without the patient; `hilum tenants` says how.")
def add(
    name: str,
    tenant: str,
    dimse: str | None,
    calling: str,
    stow: str | None,
    authorization: Path | None,
    contents: tuple[str, ...],
    *,
    tls: bool,
    deidentify: bool,
) -> None:
    """Send the results of TENANT's jobs to an archive, called NAME from then on."""
    if (dimse is None) == (stow is None):
        raise click.UsageError("Give one of --dimse and --stow.")
    address: Address
    if dimse is not None:
        address = parse_entity(dimse, calling=calling, tls=tls)
    else:
        secret = authorization.read_text().strip() if authorization else ""
        address = parse_service(stow or "", authorization=secret)
    with database() as sessions, sessions.begin() as session:
        row = add_destination(
            session, tenant, name, address, contents=contents, deidentify=deidentify
        )
        detail = {"change": "added", "address": str(address)}
        remember(session, Action.DESTINATION_CHANGED, name, row.tenant_id, detail)
    narrate(f"Results go to {address}, from the next job on.")


@destinations.command(name="list")
def list_() -> None:
    """List the destinations, with how many studies are on their way and were given up on."""
    table = Table("tenant", "name", "address", "gets", "waiting", "failed", box=None)
    with database() as sessions, sessions.begin() as session:
        counts = count_by_state(session)
        for row in list_destinations(session):
            address = ADDRESS.validate_python(row.address)
            gets = [*row.contents, *(["without-patient"] if row.deidentify else [])]
            waiting = sum(counts.get((row.id, state), 0) for state in OPEN)
            failed = counts.get((row.id, DeliveryState.FAILED), 0)
            columns = (row.tenant.name, row.name, str(address), " ".join(gets))
            table.add_row(*columns, str(waiting), str(failed))
    out.print(table)


@destinations.command(name="try")
@click.argument("name")
@click.argument("tenant")
def try_(name: str, tenant: str) -> None:
    """Ask an archive whether it is there: by C-ECHO, or by a search for one study."""
    with database() as sessions, sessions.begin() as session:
        address = ADDRESS.validate_python(find_destination(session, tenant, name).address)
    echo(address, find_settings())
    narrate(f"{address} answers.")


@destinations.command()
@click.argument("name")
@click.argument("tenant")
def retry(name: str, tenant: str) -> None:
    """Send what was given up on, once an archive is back from a long outage."""
    with database() as sessions, sessions.begin() as session:
        row = find_destination(session, tenant, name)
        count = retry_failed(session, row)
        detail = {"change": "retried", "studies": count}
        remember(session, Action.DESTINATION_CHANGED, name, row.tenant_id, detail)
    narrate(f"{count} studies are on their way to {name} again.")


@destinations.command()
@click.argument("name")
@click.argument("tenant")
def remove(name: str, tenant: str) -> None:
    """End a destination, at once, with what is on its way there."""
    with database() as sessions, sessions.begin() as session:
        owner = find_destination(session, tenant, name).tenant_id
        remove_destination(session, tenant, name)
        remember(session, Action.DESTINATION_CHANGED, name, owner, {"change": "removed"})
    narrate(f"Removed {name}.")
