# SPDX-License-Identifier: Apache-2.0
"""`hilum tenants`: the hospitals that may send studies."""

from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import Final

import click
from rich.table import Table
from sqlalchemy.orm import Session

from cli.account import account, remember
from cli.database import database
from cli.deidentify import chosen, profile_options, read_key
from cli.purge import describe
from cli.terminal import narrate, out
from db.purges import NOTHING, Chosen, Preview, preview
from db.retention import keep_for
from db.scope import EVERYTHING
from db.tables import TenantRow, now
from db.tenants import (
    Quota,
    add_tenant,
    list_tenants,
    policy_of,
    quota_of,
    set_policy,
    set_quota,
    tenant_named,
)
from hilum.audit import Action
from hilum.dicom.deidentify import Policy
from hilum.errors import InvalidRequest
from hilum.retention import LONGEST_DAYS, kept_since
from hilum.settings import MIB

MOST: Final = 2**31 - 1
"""What the database takes for a number."""


@click.group(short_help="Add and list the hospitals that may send studies.")
def tenants() -> None:
    """Add and list the hospitals that may send studies."""


@tenants.command()
@click.argument("name")
def add(name: str) -> None:
    """Add a hospital; `hilum keys new` makes its first key."""
    with database() as sessions, sessions.begin() as session:
        tenant = add_tenant(session, name)
        remember(session, Action.TENANT_ADDED, name, tenant.id)
    narrate(f"Added {name}. Its first key: hilum keys new {name!r} --label NAME")


@tenants.command(name="list")
def list_() -> None:
    """List the hospitals by name."""
    table = Table("name", "since", "de-identified", "may have", "kept", box=None)
    with database() as sessions, sessions.begin() as session:
        for tenant in list_tenants(session):
            since = f"{tenant.created_at:%Y-%m-%d}"
            when, quota = policy_of(session, tenant.id), quota_of(session, tenant.id)
            table.add_row(tenant.name, since, _when(when), _limits(quota), _long(tenant.keep_days))
    out.print(table)


@tenants.command()
@click.argument("name")
@click.option("--jobs", type=click.IntRange(0, MOST), help="Most that wait or run at a time.")
@click.option("--mb", type=click.IntRange(0, MOST), help="Most MiB of studies stored.")
@click.option("--requests", type=click.IntRange(0, MOST), help="Most requests in a minute.")
def quota(name: str, jobs: int | None, mb: int | None, requests: int | None) -> None:
    """Say how much hospital NAME may have; 0 takes a limit away, and what is not named stays."""
    with database() as sessions, sessions.begin() as session:
        tenant_id = tenant_named(session, name).id
        kept = quota_of(session, tenant_id)
        size = None if mb is None else mb * MIB
        wanted = Quota(
            _changed(kept.jobs, jobs), _changed(kept.bytes, size), _changed(kept.requests, requests)
        )
        set_quota(session, name, wanted)
        remember(session, Action.TENANT_CHANGED, name, tenant_id, asdict(wanted))
    narrate(f"{name} may have: {_limits(wanted)}.")


@tenants.command()
@click.argument("name")
@click.option("--days", type=click.IntRange(1, LONGEST_DAYS), help="After its arrival.")
@click.option("--for-ever", is_flag=True, help="No study goes by itself.")
@click.option("--yes", is_flag=True, help="Do not ask, whatever is past its time already.")
def keep(name: str, days: int | None, *, for_ever: bool, yes: bool) -> None:
    """Say how long studies of hospital NAME are kept, from now on."""
    if (days is None) != for_ever:
        raise click.UsageError("Give --days or --for-ever.")
    with database() as sessions, sessions.begin() as session:
        tenant = tenant_named(session, name)
        going = _past(session, tenant, days)
        if going.studies and not yes:
            narrate(f"Past their time already: {describe(going)}")
            click.confirm("Have them go within minutes?", abort=True, err=True)
        keep_for(session, tenant, days, by=account())
    narrate(f"Studies of {name} are kept {_long(days)}.")


def _past(session: Session, tenant: TenantRow, days: int | None) -> Preview:
    if days is None:
        return NOTHING
    return preview(session, EVERYTHING, Chosen(tenant.id, kept_since(days, now())))


def _long(days: int | None) -> str:
    return "for ever" if days is None else f"for {days} days"


def _changed(kept: int | None, asked: int | None) -> int | None:
    return kept if asked is None else asked or None


def _limits(quota: Quota) -> str:
    named = {
        "jobs": quota.jobs,
        "MiB": None if quota.bytes is None else quota.bytes // MIB,
        "requests a minute": quota.requests,
    }
    limits = [f"{most} {what}" for what, most in named.items() if most is not None]
    return ", ".join(limits) or "anything"


@tenants.command(name="deidentify")
@click.argument("name")
@profile_options
@click.option("--on-arrival", is_flag=True, help="Before studies are stored, too.")
def deidentify_(
    name: str,
    key: Path | None,
    dates: str,
    retain: tuple[str, ...],
    *,
    clean_descriptors: bool,
    on_arrival: bool,
) -> None:
    """Say how the studies of hospital NAME are de-identified, from the next one on.

    On their way to destinations that ask for it, and with --on-arrival before they are stored.
    """
    options = chosen(dates, retain, clean_descriptors=clean_descriptors)
    with database() as sessions, sessions.begin() as session:
        tenant_id = tenant_named(session, name).id
        before = policy_of(session, tenant_id)
        secret = _text(key) if key else None
        # Another key would call the same patient something else.
        secret = secret or (before.key if before else token_hex())
        policy = Policy(secret, options, on_arrival)
        set_policy(session, name, policy)
        detail = {"deidentified": _when(policy)}
        remember(session, Action.TENANT_CHANGED, name, tenant_id, detail)
    narrate(f"Studies of {name} are de-identified: {_when(policy)}.")


def _text(path: Path) -> str:
    """Return the key of a file, made where there is none."""
    try:
        return read_key(path).decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "The key is no ASCII text, expected letters and digits, as `openssl rand -hex 32` has it."
        ) from error


def _when(policy: Policy | None) -> str:
    if policy is None:
        return "no"
    return "before it is stored" if policy.on_arrival else "where a destination asks for it"
