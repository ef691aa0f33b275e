# SPDX-License-Identifier: Apache-2.0
"""`hilum keys`: the API keys of a hospital."""

import click
from rich.table import Table

from cli.account import remember
from cli.database import database
from cli.terminal import narrate, out
from db.tenants import list_keys, new_key, revoke_key, tenant_named
from hilum.audit import Action
from hilum.errors import InvalidRequest

label_option = click.option("--label", required=True, help="What the key is for, such as a PACS.")


@click.group(short_help="Make and revoke API keys.")
def keys() -> None:
    """Make, list and revoke the API keys of a hospital."""


@keys.command()
@click.argument("tenant")
@label_option
def new(tenant: str, label: str) -> None:
    """Make a key and print it, this once: the database keeps only its hash."""
    with database() as sessions, sessions.begin() as session:
        key = new_key(session, tenant, label)
        remember(session, Action.KEY_MADE, label, tenant_named(session, tenant).id)
    out.print(key, markup=False, soft_wrap=True)
    narrate("Keep it now; it cannot be shown again.")


@keys.command(name="list")
@click.argument("tenant")
def list_(tenant: str) -> None:
    """List a hospital's keys by label, never the keys themselves."""
    table = Table("label", "since", "revoked", box=None)
    with database() as sessions, sessions.begin() as session:
        for key in list_keys(session, tenant):
            revoked = f"{key.revoked_at:%Y-%m-%d}" if key.revoked_at else ""
            table.add_row(key.label, f"{key.created_at:%Y-%m-%d}", revoked)
    out.print(table)


@keys.command()
@click.argument("tenant")
@label_option
def revoke(tenant: str, label: str) -> None:
    """End the validity of a hospital's keys of one label, at once."""
    with database() as sessions, sessions.begin() as session:
        count = revoke_key(session, tenant, label)
        if count:
            remember(session, Action.KEY_REVOKED, label, tenant_named(session, tenant).id)
    if count == 0:
        raise InvalidRequest(f"Tenant {tenant!r} has no valid key labelled {label!r}.")
    narrate(f"Revoked {count}.")
