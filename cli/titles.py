# SPDX-License-Identifier: Apache-2.0
"""`hilum titles`: what scanners call, and whose studies they bring."""

import click
from rich.table import Table

from api.orders import Order
from cli.account import remember
from cli.database import database
from cli.home import find_settings
from cli.terminal import narrate, out
from db.tenants import find_tenant
from db.titles import add_title, list_titles, remove_title
from hilum.audit import Action
from hilum.errors import InvalidRequest
from hilum.jobs import Priority


@click.group(short_help="Add and remove the titles that scanners call by DICOM.")
def titles() -> None:
    """Add, list and remove the application entity titles that scanners call by DICOM."""


@titles.command()
@click.argument("title")
@click.argument("tenant")
@click.option("--pipeline", help="What is to run; the installation's usual one where absent.")
@click.option("--network", help="By which network; the installation's where absent.")
@click.option("--priority", type=click.Choice([each.value for each in Priority]))
@click.option("--callback-url", help="Address that is sent each job once it has ended.")
@click.option("--calling", multiple=True, help="Title that may call; several times for several.")
def add(title: str, tenant: str, calling: tuple[str, ...], **asked: str | None) -> None:
    """Let scanners call TITLE; what they send there belongs to TENANT."""
    order = {name: value for name, value in asked.items() if value is not None}
    with database() as sessions, sessions.begin() as session:
        found = find_tenant(session, tenant)
        if found is not None:
            # A wrong order would be found out only when the first study comes.
            settings = find_settings()
            Order.of(found.id, order, idempotency_key=None, settings=settings).find_network()
        add_title(session, title, tenant, order=order, calling=calling)
        detail = {"change": "title added", "tenant": tenant}
        remember(session, Action.TENANT_CHANGED, title, found.id if found else None, detail)
    narrate(f"Scanners may call {title}; it takes effect at once.")


@titles.command(name="list")
def list_() -> None:
    """List the titles with their hospitals."""
    table = Table("title", "tenant", "order", "calling", box=None)
    with database() as sessions, sessions.begin() as session:
        for row in list_titles(session):
            order = " ".join(f"{name}={value}" for name, value in row.order.items())
            table.add_row(row.title, row.tenant.name, order, " ".join(row.calling) or "anyone")
    out.print(table)


@titles.command()
@click.argument("title")
def remove(title: str) -> None:
    """End a title, at once; what was sent stays."""
    with database() as sessions, sessions.begin() as session:
        found = remove_title(session, title)
        if found:
            remember(session, Action.TENANT_CHANGED, title, detail={"change": "title removed"})
    if not found:
        raise InvalidRequest(f"There is no title {title!r}.")
    narrate(f"Removed {title}.")
