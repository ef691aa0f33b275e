# SPDX-License-Identifier: Apache-2.0
"""A worker: what it may be doing, and how often it says so."""

from enum import StrEnum
from typing import Final

HEARTBEAT_S: Final = 5.0
"""How often a worker says that it lives; besides, at once when a job begins or ends."""

LOST_S: Final = 3 * HEARTBEAT_S
"""A worker unheard of for so long counts as lost: one heartbeat may be late, and one lost."""


class WorkerState(StrEnum):
    """What a worker is doing."""

    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    """It was asked to stop, or to take no more jobs, and still runs one."""
    DRAINED = "drained"
    """It was asked to take no more jobs, runs none, and waits to be told to go on."""
    LOST = "lost"
    """Nobody has heard of it; no worker says so of itself."""


RESTING: Final = frozenset({WorkerState.DRAINING, WorkerState.DRAINED})
"""Of those that live, who takes no further job."""


def host_of(process: str) -> str:
    """Return the host of a process that a job knows as `host:pid`."""
    return process.rpartition(":")[0] or process
