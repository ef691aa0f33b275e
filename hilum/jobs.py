# SPDX-License-Identifier: Apache-2.0
"""A job: its states, the legal steps between them, its stages, and the message that rings for it.

The database holds the job; the message holds nothing but its id. Both doors, `api` and `worker`,
meet in the constants of this file.
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


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""The steps a job may take. Running goes back to queued when its worker died or the world failed."""

FINAL_STATES: Final = frozenset(state for state, steps in TRANSITIONS.items() if not steps)


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
    """How urgent a job is; each has a queue of its own name, emptied in this order."""

    STAT = "stat"
    ROUTINE = "routine"
    BULK = "bulk"


ANALYSE: Final = "hilum.analyse"
"""Task name: run the job with this id."""

CALL_BACK: Final = "hilum.call_back"
"""Task name: tell the client's callback address that the job with this id has ended."""

UPKEEP: Final = "hilum.upkeep"
"""Task name: ring again for jobs nobody heard of, take back jobs whose worker died."""


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
