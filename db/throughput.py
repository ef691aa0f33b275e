# SPDX-License-Identifier: Apache-2.0
"""What workers got done lately: jobs and slices of those that succeeded, in the last hour and day."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Float, cast, func, select
from sqlalchemy.orm import Session

from db.clock import from_now
from db.scope import Scope
from db.tables import JobRow, WorkerRow
from hilum.jobs import State

HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Done:
    """What was done within a time.

    Attributes:
        jobs, slices: how many.
        busy_s: that their attempts took.
    """

    jobs: int = 0
    slices: int = 0
    busy_s: float = 0.0

    @property
    def seconds_per_slice(self) -> float | None:
        """The speed, in seconds of a whole job over its slices; None where nothing was done."""
        return self.busy_s / self.slices if self.slices else None

    def __add__(self, other: "Done") -> "Done":
        return Done(self.jobs + other.jobs, self.slices + other.slices, self.busy_s + other.busy_s)


@dataclass(frozen=True, slots=True)
class Throughput:
    """What was done in the last hour, and in the last day.

    Attributes:
        hour, day: the second holds the first.
    """

    hour: Done = Done()
    day: Done = Done()

    def __add__(self, other: "Throughput") -> "Throughput":
        return Throughput(self.hour + other.hour, self.day + other.day)


def throughput(session: Session, scope: Scope) -> dict[str, Throughput]:
    """Return what workers did for some hospitals, by the name of the worker.

    A worker goes through processes; what those did that are forgotten stands under their own name.
    """
    busy_s = cast(func.extract("epoch", JobRow.finished_at - JobRow.started_at), Float)
    sums = (func.count(), func.sum(JobRow.slice_count), func.sum(busy_s))
    lately = JobRow.finished_at > from_now(-HOUR_S)
    query = (
        select(JobRow.worker, *(one.filter(lately) for one in sums), *sums)
        .where(
            JobRow.state == State.SUCCEEDED,
            JobRow.finished_at > from_now(-DAY_S),
            scope.holds(JobRow.tenant_id),
        )
        .group_by(JobRow.worker)
    )
    found = {
        row[0]: Throughput(_done(*row[1:4]), _done(*row[4:])) for row in session.execute(query)
    }
    return _by_name(found, _names(session, found))


def total(of: Iterable[Throughput]) -> Throughput:
    """Return what several workers did together."""
    return sum(of, Throughput())


def _done(jobs: int, slices: int | None, busy_s: float | None) -> Done:
    return Done(jobs, int(slices or 0), float(busy_s or 0.0))


def _names(session: Session, processes: Iterable[str]) -> dict[str, str]:
    named = select(WorkerRow.process, WorkerRow.name).where(WorkerRow.process.in_(processes))
    return dict(session.execute(named).all())


def _by_name(found: Mapping[str, Throughput], names: Mapping[str, str]) -> dict[str, Throughput]:
    sums: dict[str, Throughput] = {}
    for process, done in found.items():
        name = names.get(process, process)
        sums[name] = sums.get(name, Throughput()) + done
    return sums
