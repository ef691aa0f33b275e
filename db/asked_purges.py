# SPDX-License-Identifier: Apache-2.0
"""Purges that a page asked for: begun by it, and carried on until they are over by whoever comes by.

All that is needed to go on is in their row, so that a page may be closed and a process killed.
"""

import time
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from db.purges import UNDER_WAY, Chosen, Preview, Wish
from db.removal import Place, digest_of, remove_files, take_step
from db.scope import Scope
from db.session import Sessions
from db.tables import PurgeRow, StudyRow, TenantRow
from hilum.retention import Reason
from hilum.storage import StudyStore


def begin_purge(session: Session, wish: Wish, going: Preview) -> PurgeRow:
    """Return the purge of a wish, which nothing has gone of yet; one that goes on is joined.

    Args:
        session: one transaction.
        wish: which studies, and who wants it.
        going: how much that is at present.
    """
    chosen = wish.chosen
    # A form that is sent twice at the same moment begins one purge.
    tenant = select(TenantRow.id).where(TenantRow.id == chosen.tenant_id)
    session.execute(tenant.with_for_update(key_share=True))
    same = select(PurgeRow).where(
        _goes_on(),
        PurgeRow.tenant_id == chosen.tenant_id,
        PurgeRow.before.is_not_distinct_from(chosen.before),
        PurgeRow.study_uid.is_not_distinct_from(chosen.study_uid),
    )
    if (row := session.scalar(same.limit(1))) is not None:
        return row
    row = PurgeRow(
        tenant_id=chosen.tenant_id,
        by=wish.by,
        reason=Reason.REQUEST,
        before=chosen.before,
        study_uid=chosen.study_uid,
        address=wish.address,
        wanted=going.studies,
        studies=0,
        jobs=0,
        files=0,
        bytes=0,
        sha256=digest_of(()),
    )
    session.add(row)
    session.flush()
    return row


def purges_going_on(session: Session, scope: Scope) -> Sequence[PurgeRow]:
    """Return the purges that are not over, the oldest first."""
    of_scope = select(PurgeRow).where(_goes_on(), scope.holds(PurgeRow.tenant_id))
    return session.scalars(of_scope.order_by(PurgeRow.at, PurgeRow.id)).all()


def carry_on(
    sessions: Sessions, store: StudyStore, purge_id: UUID, *, longest_s: float
) -> PurgeRow:
    """Go on with a purge for a while, and return its row.

    Args:
        sessions: a transaction for each step.
        store: where the files are.
        purge_id: which.
        longest_s: no step is begun after so long.
    """
    after: Place | None = None
    over = time.monotonic() + longest_s
    while True:
        with sessions.begin() as session:
            row = session.get_one(PurgeRow, purge_id)
            if not row.goes_on:
                return row
            step = take_step(session, _wish_of(row), after=after, purge_id=purge_id)
            if step is None:
                return _end(session, purge_id)
        after = step.place
        remove_files(sessions, store, step.prefixes)
        if time.monotonic() >= over:
            return row


def _end(session: Session, purge_id: UUID) -> PurgeRow:
    """End a purge that has nothing more to take, or leave it where another process holds some of it."""
    row = session.get_one(PurgeRow, purge_id, with_for_update=True, populate_existing=True)
    if not row.goes_on:
        return row
    chosen = _wish_of(row).chosen.conditions(Scope.of(row.tenant_id))
    if session.scalar(select(StudyRow.id).where(*chosen, ~UNDER_WAY).limit(1)) is not None:
        return row
    # The UID, which leads to the patient, was needed to go on alone.
    row.wanted = row.study_uid = row.address = None
    return row


def _goes_on() -> ColumnElement[bool]:
    return PurgeRow.wanted.is_not(None)


def _wish_of(row: PurgeRow) -> Wish:
    chosen = Chosen(row.tenant_id, row.before, row.study_uid)
    return Wish(chosen, Scope.of(row.tenant_id), row.by, row.reason, row.address)
