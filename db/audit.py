# SPDX-License-Identifier: Apache-2.0
"""What people did, as it is remembered: appended one after another, listed, looked at for changes.

Appending makes transactions wait for each other, from `append` to their commit: a few milliseconds
each, so that some hundred entries fit into a second. Hence it is the last thing a transaction does.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row as Found
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db.pages import Conditions, Listing, Page, SortColumns, fetch_page, iterate, narrow
from db.scope import Scope
from db.session import Sessions
from db.tables import AuditRow
from hilum.audit import NOWHERE, Action, Entry, Head, Record, Verification, plain, verify

AUDIT_LOCK: Final = 1_618_033_988
"""Advisory lock: of two transactions that append, the second waits. Any fixed number will do."""

AT_ONCE: Final = 1000
"""Entries read by one query, which is how many a look at all of them holds in memory."""

VIEW_LASTS: Final = timedelta(minutes=30)
"""A case that somebody saw is the same view for so long: its slices fly by, a hundred in a minute."""

SORTS: SortColumns = {"at": AuditRow.at}

COLUMNS: Final = (
    AuditRow.id,
    AuditRow.at,
    AuditRow.by,
    AuditRow.action,
    AuditRow.tenant_id,
    AuditRow.subject,
    AuditRow.detail,
    AuditRow.address,
    AuditRow.previous_sha256,
    AuditRow.sha256,
)
"""Rather than rows: a look at all of them makes millions."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries a list holds; None asks nothing.

    Attributes:
        by: done by whoever's name begins so.
        action: one of `hilum.audit.Action`, or the part before its dot.
        subject: done to exactly this.
        tenant_id: of this hospital.
        since, until: at or after, and before.
    """

    by: str | None = None
    action: str | None = None
    subject: str | None = None
    tenant_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


FILTERS: Conditions = {
    "by": lambda name: AuditRow.by.startswith(name, autoescape=True),
    "action": lambda action: (
        (AuditRow.action == action) | AuditRow.action.startswith(f"{action}.", autoescape=True)
    ),
    "subject": AuditRow.subject.__eq__,
    "tenant_id": AuditRow.tenant_id.__eq__,
    "since": AuditRow.at.__ge__,
    "until": AuditRow.at.__lt__,
}


def append(session: Session, *entries: Entry) -> None:
    """Add entries to the log, as the last thing of their transaction.

    What the transaction does after this keeps everybody else waiting, and may wait for one of them:
    the two would be told to let go.

    Args:
        session: one transaction; what it did and what it says of it are kept together or not at all.
        entries: in the order in which things were done.
    """
    # Its rows are locked before the log, in every transaction alike.
    session.flush()
    # The clock is read once the lock is had, by the server: entries stand in the order of their time.
    wait = select(func.pg_advisory_xact_lock(AUDIT_LOCK), func.clock_timestamp())
    at = session.execute(wait).one()[1]
    head = read_head(session)
    rows = []
    for entry in entries:
        record = Record.seal(head.count + 1, at, _clean(entry), head.sha256)
        head = Head(record.id, record.sha256)
        rows.append(_values(record))
    if rows:
        session.execute(insert(AuditRow), rows)


def was_viewed(session: Session, by: str, job_id: UUID, *, part: str | None = None) -> bool:
    """Tell whether the log has it that somebody saw a case within the last `VIEW_LASTS`.

    Args:
        session: one transaction.
        by: who, as entries have it.
        job_id: the case.
        part: this very part of it; None takes any.
    """
    query = select(AuditRow.id).where(
        AuditRow.subject == str(job_id),
        AuditRow.at > func.now() - VIEW_LASTS,
        AuditRow.by == by,
        AuditRow.action.in_((Action.CASE_VIEWED, Action.PATIENT_VIEWED)),
    )
    if part is not None:
        query = query.where(AuditRow.detail["part"].as_string() == part)
    return session.scalar(query.limit(1)) is not None


def read_head(session: Session) -> Head:
    """Return where the log ends: what is kept elsewhere to see later that nothing was cut off."""
    last = select(AuditRow.id, AuditRow.sha256).order_by(AuditRow.id.desc()).limit(1)
    found = session.execute(last).one_or_none()
    return NOWHERE if found is None else Head(*found)


def list_entries(
    session: Session, scope: Scope, chosen: AuditFilter, page: Page
) -> Listing[AuditRow]:
    """Return one page of the log, sorted by `at`.

    Whoever sees some hospitals alone sees no entry that is of none.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = narrow(select(AuditRow).where(scope.holds(AuditRow.tenant_id)), chosen, FILTERS)
    return fetch_page(session, query, page, columns=SORTS, id_column=AuditRow.id)


def iterate_entries(sessions: Sessions, scope: Scope, chosen: AuditFilter) -> Iterator[Record]:
    """Yield every record of a list, oldest first, for a file of unknown length."""
    rows = iterate(sessions, lambda session, page: list_entries(session, scope, chosen, page), "at")
    return map(record_of, rows)


def verify_log(session: Session, kept: Head | None = None) -> Verification:
    """Look at every entry, in the time that reading them takes and in the memory of a few.

    Args:
        session: one transaction.
        kept: where the log ended when somebody wrote that down elsewhere.
    """
    return verify_on(session, NOWHERE, kept, longest_s=math.inf)[0]


def verify_on(
    session: Session, after: Head, kept: Head | None = None, *, longest_s: float
) -> tuple[Verification, bool]:
    """Look at the entries after one for a while; return what was found, and whether it is all.

    Args:
        session: one transaction.
        after: where the look before ended; `NOWHERE` begins.
        kept: as above, the same at each look.
        longest_s: no further entries are read after so long.
    """
    over = time.monotonic() + longest_s
    while True:
        query = select(*COLUMNS).order_by(AuditRow.id).limit(AT_ONCE)
        if after is not NOWHERE:
            # The first look has no lower bound: what somebody put in before entry 1 is seen, too.
            query = query.where(AuditRow.id > after.count)
        rows = session.execute(query).all()
        is_end = len(rows) < AT_ONCE
        found = verify(map(record_of, rows), kept=kept, after=after, is_end=is_end)
        if is_end or not found.is_whole:
            return found, True
        if time.monotonic() >= over:
            return found, False
        after = found.head


def record_of(row: AuditRow | Found[Any]) -> Record:
    """Return a row as a link of the chain."""
    entry = Entry(row.by, row.action, row.tenant_id, row.subject, row.detail, row.address)
    return Record(row.id, row.at, entry, row.previous_sha256, row.sha256)


def _clean(entry: Entry) -> Entry:
    return Entry(
        by=plain(entry.by),
        action=plain(entry.action),
        tenant_id=entry.tenant_id,
        subject=plain(entry.subject),
        detail=plain(entry.detail),
        address=plain(entry.address),
    )


def _values(record: Record) -> dict[str, Any]:
    entry = record.entry
    return {
        "id": record.id,
        "at": record.at,
        "by": entry.by,
        "action": entry.action,
        "tenant_id": entry.tenant_id,
        "subject": entry.subject,
        "detail": entry.detail,
        "address": entry.address,
        "previous_sha256": record.previous_sha256,
        "sha256": record.sha256,
    }
