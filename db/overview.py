# SPDX-License-Identifier: Apache-2.0
"""A glance at everything: for a status page, and for whoever watches the installation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from db.outgoing import count_outgoing
from db.queue import Depth, Flow, count_by_state, count_tried_before, depths, flow
from db.tables import DeliveryRow, NoticeRow, OutgoingRow
from db.upkeep import since_upkeep_s
from db.workers import Seen, known_workers
from hilum.jobs import Priority, State

OUTGOING: Final[Mapping[str, type[OutgoingRow]]] = {"archive": DeliveryRow, "webhook": NoticeRow}
"""What goes out, by whom it is for."""


@dataclass(frozen=True, slots=True)
class Glance:
    """The installation as it stands, all tenants together, in numbers that name nobody.

    Attributes:
        jobs: in each state.
        depths: what waits, by priority.
        tried_before: jobs that wait for another attempt or run in one.
        flow: whether jobs are taken.
        deliveries: by kind and state.
        workers: that live or were lost within a day.
        upkeep_s: since somebody last kept up; None where nobody did within a day.
    """

    jobs: Mapping[State, int]
    depths: Mapping[Priority, Depth]
    tried_before: int
    flow: Flow
    deliveries: Mapping[tuple[str, ...], int]
    workers: list[Seen]
    upkeep_s: float | None


def glance(session: Session) -> Glance:
    """Return how the installation stands; every number comes from an index made for it."""
    outgoing: dict[tuple[str, ...], int] = {
        (kind, str(state)): count
        for kind, of in OUTGOING.items()
        for state, count in count_outgoing(session, of).items()
    }
    return Glance(
        jobs=count_by_state(session),
        depths=depths(session),
        tried_before=count_tried_before(session),
        flow=flow(session),
        deliveries=outgoing,
        workers=known_workers(session),
        upkeep_s=since_upkeep_s(session),
    )
