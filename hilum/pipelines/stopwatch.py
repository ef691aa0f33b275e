# SPDX-License-Identifier: Apache-2.0
"""Time the stages of a job and tell its followers when each begins, goes on and ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from hilum.jobs import Progress, Stage


@dataclass(slots=True)
class Stopwatch:
    """Seconds spent in each stage.

    Attributes:
        progress: told at the start and the end of a stage; it may raise to stop the job.
        timings_s: seconds of each finished stage, in order.
    """

    progress: Progress
    timings_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure the block as one stage; what follows inside may report finer progress."""
        self.progress(stage, 0, 1)
        start = time.perf_counter()
        yield
        self.timings_s[stage.value] = time.perf_counter() - start
        self.progress(stage, 1, 1)


@dataclass(slots=True)
class Steps:
    """Counts the steps of a stage that has no slices or files to count.

    Attributes:
        progress: told of each; it may raise to stop the job.
        stage: whose steps.
        total: how many there are.
        done: how many are behind us.
    """

    progress: Progress
    stage: Stage
    total: int
    done: int = 0

    def take(self) -> None:
        """Tell that one more step is done."""
        self.done += 1
        self.progress(self.stage, self.done, self.total)
