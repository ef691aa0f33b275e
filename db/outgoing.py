# SPDX-License-Identifier: Apache-2.0
"""How what goes out is sent until it is taken: by lease, one at a time, for a day, and no longer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, exists, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from db.clock import from_now
from db.tables import OPEN, OutgoingRow, Row
from hilum.destinations import DeliveryState

SHORTEST_WAIT_S: Final = 30.0
LONGEST_WAIT_S: Final = 3600.0
"""Between two attempts: as long as the trouble has lasted already, within these."""

AT_ONCE: Final = 2
"""Couriers that one owner may keep busy."""

JITTER: Final = 0.2
"""So that what waited for one address does not come all at once; a share of the wait."""

GIVE_UP_S: Final = 24 * 3600.0
"""An address that has been away for so long is left to a person."""

ANEW: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "state": DeliveryState.WAITING,
        "claim": None,
        "error": None,
        "delivered_at": None,
        "began_at": func.now(),
        "due_at": func.now(),
    }
)
"""What is sent once more, whatever became of it before."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a courier has taken to send.

    Attributes:
        id: of its row.
        token: proves that it is still this courier's.
    """

    id: UUID
    token: UUID


@dataclass(frozen=True, slots=True)
class Outbox:
    """One table of what goes out.

    Attributes:
        row: its class.
        owner: class of the rows that it goes to; one is locked while something is chosen for it.
        lane: columns of `row`, the owner's id first; what is alike in all of them goes one at a time,
            so that an address that hangs holds up nobody else's.
    """

    row: type[OutgoingRow]
    owner: type[Row]
    lane: Sequence[InstrumentedAttribute[Any]]

    def take(self, session: Session, *, lease_s: float) -> Held | None:
        """Take what has been due longest; None where nothing is.

        Args:
            session: one transaction.
            lease_s: a courier unheard of for so long is lost, and another takes what it had.
        """
        self._give_up_lost(session)
        # The lane first, and then a statement that sees what others did before its owner was locked.
        lane = session.execute(
            self._next(*self.lane)
            .join(self.owner)
            .with_for_update(key_share=True, skip_locked=True, of=self.owner)
        ).first()
        if lane is None:
            return None
        oldest = self._next(self.row.id).where(*self._is_in(lane))
        token = uuid4()
        taken = session.scalar(
            update(self.row)
            .where(self.row.id == oldest.scalar_subquery())
            .values(
                state=DeliveryState.SENDING,
                attempts=self.row.attempts + 1,
                claim=token,
                due_at=from_now(lease_s),
            )
            .returning(self.row.id)
            .execution_options(synchronize_session=False)
        )
        return None if taken is None else Held(taken, token)

    def keep(self, session: Session, held: Held, *, lease_s: float) -> None:
        """Keep what was taken for another lease, where it is still this courier's."""
        self._write(session, held, due_at=from_now(lease_s))

    def settle(self, session: Session, held: Held, state: DeliveryState, **values: Any) -> bool:
        """Note how it ended; false where it is another courier's by now."""
        return self._write(session, held, state=state, claim=None, **values)

    def postpone(
        self, session: Session, held: Held, reason: str, *, is_silent: bool = False, **values: Any
    ) -> DeliveryState | None:
        """Note why an attempt came to nothing; return what comes of it, None where it is another's.

        Args:
            session: one transaction.
            held: what was to be sent.
            reason: one sentence without patient data.
            is_silent: whether nobody answered: then the rest of its lane waits with it, or each of
                a thousand would hold a courier until it has found out for itself.
            values: further columns to write.
        """
        row = session.scalar(select(self.row).where(*self._holds(held)).with_for_update())
        if row is None:
            return None
        age_s = session.scalars(select(func.extract("epoch", func.now() - row.began_at))).one()
        is_over = age_s >= GIVE_UP_S
        due_at = _after(min(max(float(age_s), SHORTEST_WAIT_S), LONGEST_WAIT_S))
        if is_silent:
            self._rest(session, row, reason, due_at)
        if is_over:
            self.settle(session, held, DeliveryState.FAILED, error=reason, **values)
            return DeliveryState.FAILED
        self.settle(session, held, DeliveryState.WAITING, error=reason, due_at=due_at, **values)
        return DeliveryState.WAITING

    def _next(self, *columns: InstrumentedAttribute[Any]) -> Select[Any]:
        """Return the query of what has been due longest in any lane in which nothing is sent."""
        row, other = self.row, aliased(self.row)
        same = [column == getattr(other, column.key) for column in self.lane]
        is_sent = (other.state == DeliveryState.SENDING, other.due_at > func.now())
        is_busy = exists().where(*same, *is_sent)
        # A thousand addresses of one owner are a thousand lanes, and would take every courier.
        of_owner = select(func.count()).where(same[0], *is_sent).scalar_subquery()
        is_due = (row.state.in_(OPEN), row.due_at <= func.now(), ~is_busy, of_owner < AT_ONCE)
        return select(*columns).where(*is_due).order_by(row.due_at).limit(1)

    def _is_in(self, lane: Sequence[Any]) -> list[ColumnElement[bool]]:
        return [column == value for column, value in zip(self.lane, lane, strict=True)]

    def _rest(
        self, session: Session, row: OutgoingRow, reason: str, due_at: ColumnElement[Any]
    ) -> None:
        """Have all that waits in the lane of a row wait longer, or give up on it."""
        lane = [getattr(row, column.key) for column in self.lane]
        waits = (*self._is_in(lane), self.row.state == DeliveryState.WAITING)
        is_over = self.row.began_at <= from_now(-GIVE_UP_S)
        given_up = update(self.row).where(*waits, is_over)
        session.execute(given_up.values(state=DeliveryState.FAILED, error=reason))
        session.execute(
            update(self.row)
            .where(*waits)
            .values(due_at=func.greatest(self.row.due_at, due_at))
            .execution_options(synchronize_session=False)
        )

    def _give_up_lost(self, session: Session) -> None:
        """End what kills every courier that takes it, after as long as anything else."""
        lost = update(self.row).where(
            self.row.state == DeliveryState.SENDING,
            self.row.due_at <= func.now(),
            self.row.began_at <= from_now(-GIVE_UP_S),
        )
        reason = "The courier was lost while it sent this."
        session.execute(lost.values(state=DeliveryState.FAILED, claim=None, error=reason))

    def _holds(self, held: Held) -> tuple[ColumnElement[bool], ...]:
        return (
            self.row.id == held.id,
            self.row.state == DeliveryState.SENDING,
            self.row.claim == held.token,
        )

    def _write(self, session: Session, held: Held, **values: Any) -> bool:
        written = session.scalar(
            update(self.row)
            .where(*self._holds(held))
            .values(**values)
            .returning(self.row.id)
            .execution_options(synchronize_session=False)
        )
        return written is not None


def count_outgoing(session: Session, of: type[OutgoingRow]) -> dict[DeliveryState, int]:
    """Return how many rows of a kind are in each state, all tenants together, from indexes alone."""
    ended = of.state.not_in(OPEN)
    found: dict[DeliveryState, int] = {}
    # Two questions, because each has an index that holds its rows and no others.
    for which in (~ended, ended):
        counted = select(of.state, func.count()).where(which).group_by(of.state)
        found |= dict(session.execute(counted).all())
    return {state: found.get(state, 0) for state in DeliveryState}


def count_undelivered(
    session: Session, owner: InstrumentedAttribute[UUID], owner_ids: Collection[UUID]
) -> dict[tuple[UUID, DeliveryState], int]:
    """Return how many rows of some owners are on their way, and how many were given up on.

    Those that were taken are not counted: they are nearly all, and nobody waits for them.

    Args:
        session: one transaction.
        owner: the column of the rows that names what they go to.
        owner_ids: of whom.
    """
    state: InstrumentedAttribute[DeliveryState] = owner.class_.state
    found: dict[tuple[UUID, DeliveryState], int] = {}
    # Again two questions: each has its index.
    for which in ((state.in_(OPEN),), (state.not_in(OPEN), state == DeliveryState.FAILED)):
        counted = select(owner, state, func.count()).where(owner.in_(owner_ids), *which)
        rows = session.execute(counted.group_by(owner, state))
        found |= {(owner_id, reached): count for owner_id, reached, count in rows}
    return found


def _after(wait_s: float) -> ColumnElement[Any]:
    jitter: ColumnElement[float] = 1 + JITTER * func.random()
    return from_now(wait_s * jitter)
