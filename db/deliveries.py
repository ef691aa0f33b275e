# SPDX-License-Identifier: Apache-2.0
"""What is on its way to archives: queued with the end of a job, sent until it is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload

from db.clock import from_now
from db.steps import record
from db.tables import ArtifactRow, DeliveryRow, DestinationRow, JobRow
from hilum.destinations import ADDRESS, ORIGINALS, Address, DeliveryState
from hilum.errors import ReportNotReady, UnknownDestination
from hilum.jobs import State

OPEN: Final = (DeliveryState.WAITING, DeliveryState.SENDING)

SHORTEST_WAIT_S: Final = 30.0
LONGEST_WAIT_S: Final = 3600.0
"""Between two attempts: as long as the trouble has lasted already, within these."""

JITTER: Final = 0.2
"""So that what waited for one archive does not come all at once; a share of the wait."""

GIVE_UP_S: Final = 24 * 3600.0
"""An archive that has been away for so long is left to a person."""

ANEW: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "state": DeliveryState.WAITING,
        "claim": None,
        "error": None,
        "objects": 0,
        "deidentification": None,
        "delivered_at": None,
        "began_at": func.now(),
        "due_at": func.now(),
    }
)
"""A delivery that is asked for again."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that a courier has taken.

    Attributes:
        id: of the delivery.
        token: proves that it is still this courier's.
        job_id, tenant_id, study_id: what is sent.
        destination: its name.
        address: where to.
        deidentify: whether it goes without the patient.
        keys: of the results in the store.
        wants_originals: whether what the hospital had sent goes too; the courier's to look up.
    """

    id: UUID
    token: UUID
    job_id: UUID
    tenant_id: UUID
    study_id: UUID
    destination: str
    address: Address
    deidentify: bool
    keys: tuple[str, ...]
    wants_originals: bool


def queue_deliveries(session: Session, job: JobRow) -> None:
    """Have what a job left sent to each destination of its hospital."""
    chosen = select(
        func.gen_random_uuid(),
        literal(job.id),
        DestinationRow.id,
        literal(DeliveryState.WAITING.value),
        literal(0),
        func.now(),
        func.now(),
        literal(0),
    ).where(DestinationRow.tenant_id == job.tenant_id)
    # Waits for who removes a destination, and passes over what is gone then.
    chosen = chosen.with_for_update(read=True, key_share=True)
    names = ["id", "job_id", "destination_id", "state", "attempts", "began_at", "due_at", "objects"]
    session.execute(insert(DeliveryRow).from_select(names, chosen).on_conflict_do_nothing())


def take_due(session: Session, *, lease_s: float) -> Due | None:
    """Take the delivery that has been due longest; None where none is.

    One at a time goes to a destination: an archive that hangs holds up nobody else's.

    Args:
        session: one transaction.
        lease_s: a courier unheard of for so long is lost, and another takes what it had.
    """
    _give_up_lost(session)
    # The destination first, and then a statement that sees what others did before it was locked.
    destination = session.scalar(
        select(DestinationRow.id)
        .join(DeliveryRow)
        .where(*_is_due())
        .order_by(DeliveryRow.due_at)
        .limit(1)
        .with_for_update(key_share=True, skip_locked=True, of=DestinationRow)
    )
    oldest = (
        select(DeliveryRow.id)
        .where(DeliveryRow.destination_id == destination, *_is_due())
        .order_by(DeliveryRow.due_at)
        .limit(1)
    )
    token = uuid4()
    taken = session.scalar(
        update(DeliveryRow)
        .where(DeliveryRow.id == oldest.scalar_subquery())
        .values(
            state=DeliveryState.SENDING,
            attempts=DeliveryRow.attempts + 1,
            claim=token,
            due_at=from_now(lease_s),
        )
        .returning(DeliveryRow.id)
        .execution_options(synchronize_session=False)
    )
    return None if taken is None else _due(session, taken, token)


def keep_due(session: Session, due: Due, *, lease_s: float) -> None:
    """Keep a delivery for another lease, where it is still this courier's."""
    _write(session, due, due_at=from_now(lease_s))


def delivered(
    session: Session, due: Due, objects: int, deidentification: dict[str, Any] | None = None
) -> bool:
    """Note that a destination took all; false where the delivery is another courier's by now.

    Args:
        session: one transaction.
        due: the delivery.
        objects: how many it took.
        deidentification: what was done to them on their way, by tag.
    """
    is_noted = _settle(
        session,
        due,
        state=DeliveryState.DELIVERED,
        objects=objects,
        deidentification=deidentification,
        error=None,
        delivered_at=func.now(),
    )
    if is_noted:
        detail = {"destination": due.destination, "objects": objects}
        record(session, due.job_id, "delivered", detail)
    return is_noted


def postpone(session: Session, due: Due, reason: str) -> DeliveryState | None:
    """Note why an attempt came to nothing; return what comes of it, None where it is another's.

    Args:
        session: one transaction.
        due: the delivery.
        reason: one sentence without patient data.
    """
    row = session.scalar(select(DeliveryRow).where(*_holds(due)).with_for_update())
    if row is None:
        return None
    age_s = session.scalars(select(func.extract("epoch", func.now() - row.began_at))).one()
    if age_s >= GIVE_UP_S:
        _settle(session, due, state=DeliveryState.FAILED, error=reason)
        record(session, due.job_id, "undelivered", {"destination": due.destination})
        return DeliveryState.FAILED
    wait_s = min(max(float(age_s), SHORTEST_WAIT_S), LONGEST_WAIT_S)
    jitter: ColumnElement[float] = 1 + JITTER * func.random()
    _settle(
        session,
        due,
        state=DeliveryState.WAITING,
        error=reason,
        due_at=from_now(wait_s * jitter),
    )
    return DeliveryState.WAITING


def list_deliveries(session: Session, job_id: UUID) -> list[DeliveryRow]:
    """Return where a job's deliveries stand, by the names of their destinations."""
    query = (
        select(DeliveryRow)
        .join(DeliveryRow.destination)
        .where(DeliveryRow.job_id == job_id)
        .options(contains_eager(DeliveryRow.destination))
        .order_by(DestinationRow.name)
    )
    return list(session.scalars(query))


def send_again(session: Session, job: JobRow, destination: str | None = None) -> None:
    """Send what a job left once more: to one destination, or to all of its hospital.

    Destinations that were added after the job ended get it too.

    Raises:
        ReportNotReady: the job has not succeeded.
        UnknownDestination: the hospital has no such destination, or none at all.
    """
    if job.state is not State.SUCCEEDED:
        raise ReportNotReady(f"Job {job.id} is {job.state}, expected succeeded.")
    chosen = select(DestinationRow.id).where(DestinationRow.tenant_id == job.tenant_id)
    if destination is not None:
        chosen = chosen.where(DestinationRow.name == destination)
    ids = list(session.scalars(chosen))
    if not ids:
        name = "any destination" if destination is None else f"a destination {destination!r}"
        raise UnknownDestination(f"The hospital of job {job.id} does not have {name}.")
    session.execute(
        insert(DeliveryRow)
        .values([{"job_id": job.id, "destination_id": one} for one in ids])
        .on_conflict_do_update(
            index_elements=["job_id", "destination_id"],
            set_=dict(ANEW),
        )
    )


def retry_failed(session: Session, destination: DestinationRow) -> int:
    """Send what was given up on, as after a long outage; return how many studies that are."""
    failed = (DeliveryRow.destination_id == destination.id) & (
        DeliveryRow.state == DeliveryState.FAILED
    )
    retried = session.scalars(
        update(DeliveryRow).where(failed).values(dict(ANEW)).returning(DeliveryRow.id)
    )
    return len(retried.all())


def count_by_state(session: Session) -> dict[tuple[UUID, DeliveryState], int]:
    """Return how many deliveries of each destination are in each state."""
    columns = (DeliveryRow.destination_id, DeliveryRow.state)
    counted = session.execute(select(*columns, func.count()).group_by(*columns))
    return {(destination, state): count for destination, state, count in counted}


def _due(session: Session, delivery_id: UUID, token: UUID) -> Due:
    row = session.scalars(
        select(DeliveryRow)
        .where(DeliveryRow.id == delivery_id)
        .options(joinedload(DeliveryRow.destination), joinedload(DeliveryRow.job))
    ).one()
    job, destination = row.job, row.destination
    keys = select(ArtifactRow.key).where(
        ArtifactRow.job_id == job.id, ArtifactRow.kind.in_(destination.contents)
    )
    return Due(
        row.id,
        token,
        job.id,
        job.tenant_id,
        job.study_id,
        destination.name,
        ADDRESS.validate_python(destination.address),
        destination.deidentify,
        tuple(session.scalars(keys)),
        ORIGINALS in destination.contents,
    )


def _is_due() -> tuple[ColumnElement[bool], ...]:
    other = aliased(DeliveryRow)
    is_busy = exists().where(
        other.destination_id == DeliveryRow.destination_id,
        other.state == DeliveryState.SENDING,
        other.due_at > func.now(),
    )
    return DeliveryRow.state.in_(OPEN), DeliveryRow.due_at <= func.now(), ~is_busy


def _give_up_lost(session: Session) -> None:
    """End what kills every courier that takes it, after as long as anything else."""
    lost = update(DeliveryRow).where(
        DeliveryRow.state == DeliveryState.SENDING,
        DeliveryRow.due_at <= func.now(),
        DeliveryRow.began_at <= from_now(-GIVE_UP_S),
    )
    reason = "The courier was lost while it sent this."
    session.execute(lost.values(state=DeliveryState.FAILED, claim=None, error=reason))


def _holds(due: Due) -> tuple[ColumnElement[bool], ...]:
    return (
        DeliveryRow.id == due.id,
        DeliveryRow.state == DeliveryState.SENDING,
        DeliveryRow.claim == due.token,
    )


def _settle(session: Session, due: Due, **values: Any) -> bool:
    return _write(session, due, claim=None, **values)


def _write(session: Session, due: Due, **values: Any) -> bool:
    written = session.scalar(
        update(DeliveryRow)
        .where(*_holds(due))
        .values(**values)
        .returning(DeliveryRow.id)
        .execution_options(synchronize_session=False)
    )
    return written is not None
