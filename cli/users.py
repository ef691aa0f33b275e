# SPDX-License-Identifier: Apache-2.0
"""`hilum users`: the people who look at the pages."""

from urllib.parse import urlencode
from uuid import UUID

import click
from rich.table import Table
from sqlalchemy.orm import Session

from cli.account import remember
from cli.database import database
from cli.home import DEFAULT_HOME, Home
from cli.terminal import narrate, out
from db.tables import UserRow
from db.tenants import tenant_named
from db.users import add_user, disable, forgive, grant, invite, list_users, user_named
from hilum.audit import Action
from hilum.errors import InvalidRequest
from hilum.people import Role

role_option = click.option(
    "--role",
    type=click.Choice([each.value for each in Role]),
    required=True,
    help="What they may do.",
)
tenant_option = click.option("--tenant", help="In this hospital alone; else in all of them.")
url_option = click.option(
    "--url",
    envvar="HILUM_API_URL",
    default=lambda: Home(DEFAULT_HOME).url or "https://your-hilum.example",
    help="Address that people open Hilum at; else HILUM_API_URL, else that of the `hilum serve` here.",
)


@click.group(short_help="Say who may look at the pages, and what they may do there.")
def users() -> None:
    """Say who may look at the pages, and what they may do there."""


@users.command()
@click.argument("name")
@role_option
@tenant_option
@url_option
def add(name: str, role: str, tenant: str | None, url: str) -> None:
    """Add somebody and print the link by which they choose a password, once, within a day."""
    with database() as sessions, sessions.begin() as session:
        user = add_user(session, name)
        where = _tenant_id(session, tenant)
        grant(session, user, Role(role), where)
        link = entrance(url, invite(session, user))
        remember(session, Action.USER_ADDED, user.name, where, {"role": role})
    _show(user.name, link)


@users.command(name="link")
@click.argument("name")
@url_option
def link_(name: str, url: str) -> None:
    """Print a new link for NAME, who forgot the password or let the first one pass; it unlocks, too."""
    with database() as sessions, sessions.begin() as session:
        user = user_named(session, name)
        forgive(user)
        link = entrance(url, invite(session, user))
        _remember(session, user, "link")
    _show(user.name, link)


@users.command(name="grant")
@click.argument("name")
@role_option
@tenant_option
def grant_(name: str, role: str, tenant: str | None) -> None:
    """Give NAME a role, in place of the one they had there."""
    with database() as sessions, sessions.begin() as session:
        user, where = user_named(session, name), _tenant_id(session, tenant)
        grant(session, user, Role(role), where)
        remember(session, Action.USER_CHANGED, user.name, where, {"role": role})
    narrate(f"{name} is {role} in {tenant or 'every hospital'}.")


@users.command()
@click.argument("name")
@tenant_option
def revoke(name: str, tenant: str | None) -> None:
    """Take the role away that NAME has in a hospital, or everywhere by one grant."""
    with database() as sessions, sessions.begin() as session:
        user = user_named(session, name)
        where = _tenant_id(session, tenant)
        if all(one.tenant_id != where for one in user.grants):
            raise InvalidRequest(f"{name} has no role in {tenant or 'every hospital'}.")
        grant(session, user, None, where)
        remember(session, Action.USER_CHANGED, user.name, where, {"role": None})
    narrate(f"{name} has no role in {tenant or 'every hospital'} any more.")


@users.command(name="disable")
@click.argument("name")
def disable_(name: str) -> None:
    """Keep NAME out, at once and everywhere."""
    with database() as sessions, sessions.begin() as session:
        user = user_named(session, name)
        disable(session, user, disabled=True)
        _remember(session, user, "disabled")
    narrate(f"{name} is signed out and stays out. To undo it: hilum users enable {name}")


@users.command()
@click.argument("name")
def enable(name: str) -> None:
    """Let NAME in again."""
    with database() as sessions, sessions.begin() as session:
        user = user_named(session, name)
        disable(session, user, disabled=False)
        _remember(session, user, "enabled")
    narrate(f"{name} may sign in again.")


@users.command(name="list")
def list_() -> None:
    """List everybody with what they may do."""
    table = Table("name", "roles", "last here", "state", box=None)
    with database() as sessions, sessions.begin() as session:
        for user in list_users(session):
            seen = f"{user.signed_in_at:%Y-%m-%d}" if user.signed_in_at else ""
            table.add_row(user.name, _roles(user), seen, _state(user))
    out.print(table)


def entrance(url: str, token: str, *, to: str | None = None) -> str:
    """Return the address that lets somebody in once, and leads to a page."""
    asked = {"token": token} | ({"to": to} if to else {})
    return f"{url.rstrip('/')}/welcome?{urlencode(asked)}"


def _remember(session: Session, user: UserRow, change: str) -> None:
    remember(session, Action.USER_CHANGED, user.name, detail={"change": change})


def _tenant_id(session: Session, name: str | None) -> UUID | None:
    return None if name is None else tenant_named(session, name).id


def _roles(user: UserRow) -> str:
    held = (
        f"{one.role} in {one.tenant.name if one.tenant else 'every hospital'}"
        for one in user.grants
    )
    return ", ".join(held) or "none"


def _state(user: UserRow) -> str:
    if user.disabled_at is not None:
        return "kept out"
    return "may sign in" if user.password else "has no password yet"


def _show(name: str, link: str) -> None:
    out.print(link, markup=False, soft_wrap=True)
    narrate(f"For {name}: it opens once, within a day. Send it by a way that nobody else reads.")
