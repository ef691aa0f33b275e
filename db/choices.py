# SPDX-License-Identifier: Apache-2.0
"""What there is to choose from: hospitals, and the networks and scanners of their cases."""

from typing import Final

from sqlalchemy import exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.scope import Scope
from db.tables import CaseRow, TenantRow

MOST: Final = 200
"""Of each; a list to choose from that is longer serves nobody, and the query string takes any other."""

Named = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]


def hospitals(session: Session, scope: Scope) -> list[str]:
    """Return the names of the hospitals that somebody sees."""
    named = select(TenantRow.name).where(scope.holds(TenantRow.id))
    return list(session.scalars(named.order_by(TenantRow.name).limit(MOST)))


def networks(session: Session, scope: Scope) -> list[str]:
    """Return every network that cases were, or are to be, read by."""
    return _different(session, scope, CaseRow.network)


def scanners(session: Session, scope: Scope) -> list[str]:
    """Return every scanner that cases came from."""
    return _different(session, scope, CaseRow.scanner)


def _different(session: Session, scope: Scope, column: Named) -> list[str]:
    # From each value to the next one by its index: DISTINCT would read every case.
    steps = select(func.min(column).label("value")).cte("steps", recursive=True)
    following = select(func.min(column)).where(column > steps.c.value).correlate(steps)
    steps = steps.union_all(select(following.scalar_subquery()).where(steps.c.value.is_not(None)))
    is_seen = exists().where(column == steps.c.value, scope.holds(CaseRow.tenant_id))
    found = select(steps.c.value).where(steps.c.value.is_not(None), is_seen)
    return list(session.scalars(found.order_by(steps.c.value).limit(MOST)))
