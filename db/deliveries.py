# SPDX-License-Identifier: Apache-2.0
"""What is on its way to archives: queued with the end of a job, sent until it is taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, contains_eager, joinedload

from db.outgoing import ANEW, Held, Outbox
from db.steps import record
from db.tables import ArtifactRow, DeliveryRow, DestinationRow, JobRow
from hilum.destinations import ADDRESS, ORIGINALS, Address, DeliveryState
from hilum.errors import ReportNotReady, UnknownDestination
from hilum.jobs import State

DELIVERIES: Final = Outbox(DeliveryRow, DestinationRow, (DeliveryRow.destination_id,))

AGAIN: Final[Mapping[str, Any]] = MappingProxyType({**ANEW, "objects": 0, "deidentification": None})
"""A delivery that is asked for again."""


@dataclass(frozen=True, slots=True)
class Due(Held):
    """A delivery that a courier has taken.

    Attributes:
        job_id, tenant_id, study_id: what is sent.
        destination: its name.
        address: where to.
        deidentify: whether it goes without the patient.
        keys: of the results in the store.
        wants_originals: whether what the hospital had sent goes too; the courier's to look up.
    """

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
    held = DELIVERIES.take(session, lease_s=lease_s)
    return None if held is None else _due(session, held)


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
    is_noted = DELIVERIES.settle(
        session,
        due,
        DeliveryState.DELIVERED,
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
    state = DELIVERIES.postpone(session, due, reason)
    if state is DeliveryState.FAILED:
        record(session, due.job_id, "undelivered", {"destination": due.destination})
    return state


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
            set_=dict(AGAIN),
        )
    )


def retry_failed(session: Session, destination: DestinationRow) -> int:
    """Send what was given up on, as after a long outage; return how many studies that are."""
    failed = (DeliveryRow.destination_id == destination.id) & (
        DeliveryRow.state == DeliveryState.FAILED
    )
    retried = session.scalars(
        update(DeliveryRow).where(failed).values(dict(AGAIN)).returning(DeliveryRow.id)
    )
    return len(retried.all())


def count_by_state(session: Session) -> dict[tuple[UUID, DeliveryState], int]:
    """Return how many deliveries of each destination are in each state."""
    columns = (DeliveryRow.destination_id, DeliveryRow.state)
    counted = session.execute(select(*columns, func.count()).group_by(*columns))
    return {(destination, state): count for destination, state, count in counted}


def _due(session: Session, held: Held) -> Due:
    row = session.scalars(
        select(DeliveryRow)
        .where(DeliveryRow.id == held.id)
        .options(joinedload(DeliveryRow.destination), joinedload(DeliveryRow.job))
    ).one()
    job, destination = row.job, row.destination
    keys = select(ArtifactRow.key).where(
        ArtifactRow.job_id == job.id, ArtifactRow.kind.in_(destination.contents)
    )
    return Due(
        held.id,
        held.token,
        job.id,
        job.tenant_id,
        job.study_id,
        destination.name,
        ADDRESS.validate_python(destination.address),
        destination.deidentify,
        tuple(session.scalars(keys)),
        ORIGINALS in destination.contents,
    )
