# SPDX-License-Identifier: Apache-2.0
"""A job: its states, the legal steps between them, its stages, and the message that rings for it.

The database holds the job and says whose turn it is; the message says no more than that there is
work. Both doors, `api` and `worker`, meet in the constants of this file.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"
    """It lost every worker that took it; a person decides whether one more may try."""


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset(
        {State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUARANTINED}
    ),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
    State.QUARANTINED: frozenset({State.QUEUED}),
}
"""The steps a job may take. Running goes back to queued when its worker died or the world failed;
what ended without a report goes back when somebody asks for it."""

FINAL_STATES: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.QUARANTINED})
"""Nothing happens to a job in one of these by itself."""

RETRIABLE: Final = frozenset(state for state in FINAL_STATES if State.QUEUED in TRANSITIONS[state])
"""What ended without a report: somebody may ask for it again."""


class Stage(StrEnum):
    """What a running job is doing, in order."""

    READING = "reading"
    LUNGS = "lungs"
    SLICES = "slices"
    MEASURING = "measuring"
    WRITING = "writing"


STAGE_WEIGHT: Final[dict[Stage, float]] = {
    Stage.READING: 0.03,
    Stage.LUNGS: 0.20,
    Stage.SLICES: 0.66,
    Stage.MEASURING: 0.05,
    Stage.WRITING: 0.06,
}
"""Share of a whole job that each stage takes, 0..1; sums to one. As docs/benchmarks.md measured them."""

Progress = Callable[[Stage, int, int], None]
"""Called as `progress(stage, done, total)`; raises `JobStopped` when the job must not go on."""


class Priority(StrEnum):
    """How urgent a job is, the most urgent first; `db/turns.py` has the whole order."""

    STAT = "stat"
    ROUTINE = "routine"
    BULK = "bulk"


TAKE_TURN: Final = "hilum.take_turn"
"""Task name: run the job whose turn it is."""

MOST_RINGS: Final = 200
"""Messages at a time: whoever took one and ran a job rings for the next, so more wake nobody sooner."""

QUEUE: Final = "hilum"
"""The one list of the broker: the order of jobs is the database's."""


class JobStopped(Exception):
    """Raised inside a running job that was cancelled, or whose lease another worker took."""


def may_move(before: State, after: State) -> bool:
    """Tell whether a job may step from one state to another."""
    return after in TRANSITIONS[before]


def overall_fraction(stage: Stage, done: int, total: int) -> float:
    """Return how much of the whole job is done, 0..1."""
    stages = list(Stage)
    before = sum(STAGE_WEIGHT[earlier] for earlier in stages[: stages.index(stage)])
    return min(1.0, before + STAGE_WEIGHT[stage] * done / max(total, 1))


def ignore_progress(stage: Stage, done: int, total: int) -> None:
    """Follow nothing: the default where nobody watches."""
