# SPDX-License-Identifier: Apache-2.0
"""`hilum tenants`: the hospitals that may send studies."""

import click
from rich.table import Table

from cli.database import database
from cli.terminal import narrate, out
from db.tenants import add_tenant, list_tenants


@click.group(short_help="Add and list the hospitals that may send studies.")
def tenants() -> None:
    """Add and list the hospitals that may send studies."""


@tenants.command()
@click.argument("name")
def add(name: str) -> None:
    """Add a hospital; `hilum keys new` makes its first key."""
    with database() as sessions, sessions.begin() as session:
        add_tenant(session, name)
    narrate(f"Added {name}. Its first key: hilum keys new {name!r} --label NAME")


@tenants.command(name="list")
def list_() -> None:
    """List the hospitals by name."""
    table = Table("name", "since", box=None)
    with database() as sessions, sessions.begin() as session:
        for tenant in list_tenants(session):
            table.add_row(tenant.name, f"{tenant.created_at:%Y-%m-%d}")
    out.print(table)
