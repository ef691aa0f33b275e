# SPDX-License-Identifier: Apache-2.0
"""Jobs that ended without a report through no wish of anybody: failed, or in quarantine."""

from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from db.pages import Listing, Page, SortColumns, fetch_page
from db.scope import Scope
from db.tables import JobRow
from hilum.jobs import State

TROUBLED: Final = (State.QUARANTINED, State.FAILED)

SORTS: SortColumns = {"finished_at": JobRow.finished_at}

NEWEST_FIRST: Final = "-finished_at"


def list_troubled(
    session: Session, scope: Scope, page: Page, state: State | None = None
) -> Listing[JobRow]:
    """Return a page of failed and quarantined jobs of some hospitals, with their studies.

    Args:
        session: one transaction.
        scope: whose.
        page: which part, sorted by `finished_at`.
        state: one of `TROUBLED`; None means both.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = (
        select(JobRow)
        # Both are named, for the index holds nothing else.
        .where(JobRow.state.in_(TROUBLED), scope.holds(JobRow.tenant_id))
        .options(joinedload(JobRow.study))
    )
    if state is not None:
        query = query.where(JobRow.state == state)
    return fetch_page(session, query, page, columns=SORTS, id_column=JobRow.id)


def count_troubled(session: Session, scope: Scope) -> dict[State, int]:
    """Return how many jobs of some hospitals failed, and how many are in quarantine."""
    query = (
        select(JobRow.state, func.count())
        .where(JobRow.state.in_(TROUBLED), scope.holds(JobRow.tenant_id))
        .group_by(JobRow.state)
    )
    found: dict[State, int] = dict(session.execute(query).all())
    return {state: found.get(state, 0) for state in TROUBLED}
