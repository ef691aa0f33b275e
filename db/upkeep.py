# SPDX-License-Identifier: Apache-2.0
"""Whether anybody keeps the queue from losing anything."""

from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.clock import from_now
from db.tables import UpkeepRow

LATE_S: Final = 60.0
"""Nobody has kept up for so long: jobs of dead workers stay where they are."""

KEPT_S: Final = 24 * 3600.0
"""A process unheard of for so long is forgotten."""


def note_upkeep(session: Session, name: str) -> None:
    """Write down that a process has kept up just now, and forget those of days before."""
    seen = {"seen_at": func.now()}
    session.execute(
        insert(UpkeepRow)
        .values(name=name, **seen)
        .on_conflict_do_update(index_elements=[UpkeepRow.name], set_=seen)
    )
    session.execute(delete(UpkeepRow).where(UpkeepRow.seen_at < from_now(-KEPT_S)))


def since_upkeep_s(session: Session) -> float | None:
    """Return for how many seconds nobody has kept up; None where nobody did within a day."""
    seconds = func.extract("epoch", func.now() - func.max(UpkeepRow.seen_at))
    found = session.scalar(select(seconds))
    return None if found is None else float(found)
