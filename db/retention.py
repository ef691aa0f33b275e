# SPDX-License-Identifier: Apache-2.0
"""How long each hospital's studies are kept, and the end of those that are past it."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.audit import append
from db.purges import Chosen, Wish
from db.removal import Step, take_step
from db.scope import Scope
from db.session import Sessions
from db.tables import TenantRow, now
from hilum.audit import Action, Entry
from hilum.errors import InvalidRequest
from hilum.retention import LONGEST_DAYS, Reason, kept_since

UPKEEP: Final = "upkeep"
"""Who purges what is past its time."""


def keep_for(
    session: Session, tenant: TenantRow, days: int | None, *, by: str, address: str | None = None
) -> None:
    """Say how many days after its arrival a hospital's study goes, None for never, with an entry.

    Raises:
        InvalidRequest: it is no such number.
    """
    if days is not None and not 1 <= days <= LONGEST_DAYS:
        raise InvalidRequest(f"{days} days were given, expected 1-{LONGEST_DAYS}.")
    detail = {"before": tenant.keep_days, "after": days}
    tenant.keep_days = days
    append(session, Entry(by, Action.RETENTION_CHANGED, tenant.id, tenant.name, detail, address))


def purge_overdue(sessions: Sessions) -> Iterator[Step]:
    """Take a few studies of each hospital that are past their time; the sweep takes their files.

    Yields what was done for each hospital, once it is done.
    """
    with sessions.begin() as session:
        keeps = select(TenantRow.id, TenantRow.keep_days).where(TenantRow.keep_days.is_not(None))
        found = [(tenant_id, days) for tenant_id, days in session.execute(keeps) if days]
    for tenant_id, days in found:
        chosen = Chosen(tenant_id, kept_since(days, now()))
        wish = Wish(chosen, Scope.of(tenant_id), UPKEEP, Reason.RETENTION)
        with sessions.begin() as session:
            step = take_step(session, wish)
        if step is not None and step.purge_id is not None:
            yield step
