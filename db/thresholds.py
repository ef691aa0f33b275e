# SPDX-License-Identifier: Apache-2.0
"""The thresholds that reports are graded by: those that ship, and an installation's own."""

import re
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.tables import ThresholdsRow, ThresholdsUseRow
from hilum.errors import InvalidRequest
from hilum.grading import MOSMED, THRESHOLDS, VERSION, Grade, Thresholds, check_thresholds


@dataclass(frozen=True, slots=True)
class Kept:
    """A set that reports may be graded by.

    Attributes:
        thresholds: the cuts.
        made_by, made_at: who made it, and when; None of those that ship.
    """

    thresholds: Thresholds
    made_by: str | None = None
    made_at: datetime | None = None


def list_thresholds(session: Session) -> list[Kept]:
    """Return every set: those that ship, then the installation's own, the oldest first."""
    query = select(ThresholdsRow).order_by(ThresholdsRow.made_at, ThresholdsRow.version)
    own = [Kept(_thresholds(row), row.made_by, row.made_at) for row in session.scalars(query)]
    return [*map(Kept, THRESHOLDS.values()), *own]


def thresholds_named(session: Session, version: str | None = None) -> Thresholds:
    """Return the thresholds of a version, or those that new reports are graded by.

    Raises:
        InvalidRequest: there are none.
    """
    if version is None:
        return current_thresholds(session)
    found = find_thresholds(session, version)
    if found is None:
        known = ", ".join(one.thresholds.version for one in list_thresholds(session))
        raise InvalidRequest(f"There are no thresholds {version!r}; there are {known}.")
    return found


def find_thresholds(session: Session, version: str) -> Thresholds | None:
    """Return the thresholds of a version; None where nobody kept them."""
    if version in THRESHOLDS:
        return THRESHOLDS[version]
    if re.fullmatch(VERSION, version) is None:
        # It may be anything that somebody typed, and a database refuses some of it.
        return None
    row = session.scalar(select(ThresholdsRow).where(ThresholdsRow.version == version))
    return None if row is None else _thresholds(row)


def add_thresholds(session: Session, thresholds: Thresholds, *, by: str) -> bool:
    """Keep a new set; false where it is kept already, number for number.

    Args:
        session: one transaction.
        thresholds: the cuts; they stay as they are from now on.
        by: who made them.

    Raises:
        InvalidRequest: they are not sensible, or other numbers have their version.
    """
    check_thresholds(thresholds)
    values = asdict(thresholds) | {"bins": list(thresholds.bins), "made_by": by}
    values["alarming_from"] = thresholds.alarming_from.value
    added = session.scalar(
        insert(ThresholdsRow)
        .values(values)
        .on_conflict_do_nothing()
        .returning(ThresholdsRow.version)
    )
    if added is None and find_thresholds(session, thresholds.version) != thresholds:
        raise InvalidRequest(
            f"There are thresholds {thresholds.version!r} already; other numbers are a new version."
        )
    return added is not None


def current_use(session: Session) -> ThresholdsUseRow | None:
    """Return when the installation went over to what it goes by; None where it never did."""
    newest = select(ThresholdsUseRow).order_by(ThresholdsUseRow.id.desc()).limit(1)
    return session.scalar(newest)


def current_thresholds(session: Session) -> Thresholds:
    """Return the thresholds that new reports are graded by."""
    use = current_use(session)
    if use is None:
        return MOSMED
    return thresholds_named(session, use.version)


def list_uses(session: Session, limit: int) -> list[ThresholdsUseRow]:
    """Return what the installation went by, the newest first."""
    newest_first = select(ThresholdsUseRow).order_by(ThresholdsUseRow.id.desc())
    return list(session.scalars(newest_first.limit(limit)))


def choose_thresholds(session: Session, version: str, *, by: str) -> bool:
    """Grade new reports by a set from now on; false where that is so already.

    Raises:
        InvalidRequest: there is no such set.
    """
    chosen = thresholds_named(session, version)
    if chosen == current_thresholds(session):
        return False
    session.add(ThresholdsUseRow(version=version, chosen_by=by))
    session.flush()
    return True


def _thresholds(row: ThresholdsRow) -> Thresholds:
    first, second, third = row.bins
    return Thresholds(
        version=row.version,
        finding_from=row.finding_from,
        bins=(first, second, third),
        alarming_from=Grade(row.alarming_from),
        review_margin=row.review_margin,
        finding_margin=row.finding_margin,
        source=row.source,
    )
