# SPDX-License-Identifier: Apache-2.0
"""A board that shows a study's way from upload to report: bars on a terminal, lines elsewhere."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.terminal import err, narrate
from hilum.jobs import Stage

UPLOAD: Final = "upload"
QUEUE: Final = "queue"

STEPS: Final = (UPLOAD, QUEUE, *(stage.value for stage in Stage))
"""Every step, in order."""

MIB: Final = 1024 * 1024

PLAIN_PARTS: Final = 4
"""Lines that a counted step gets where there is no terminal."""


@dataclass(slots=True)
class Board:
    """Progress of one study.

    Attributes:
        step: the step that is under way; "" before the first.
    """

    step: str = ""
    _bars: Progress = field(
        default_factory=lambda: Progress(
            TextColumn("  {task.description:<10}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[note]:<28}"),
            TimeElapsedColumn(),
            console=err,
            disable=not err.is_terminal,
        )
    )
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)
    _said: str = ""

    def __enter__(self) -> Self:
        """Show the board."""
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the board as it stands."""
        self._bars.stop()

    def upload(self, sent: int, total: int) -> None:
        """Show bytes on their way."""
        self._show(UPLOAD, sent, total, f"{sent / MIB:.1f} of {total / MIB:.1f} MiB")

    def queue(self, ahead: int | None, eta_s: float | None) -> None:
        """Show the place in the queue, and how long it may take until the report."""
        place = "next" if not ahead else f"{ahead} ahead"
        wait = "" if eta_s is None else f", about {eta_s:.0f} s to the report"
        self._show(QUEUE, 0, 0, f"{place}{wait}")

    def stage(self, stage: Stage, done: int, total: int) -> None:
        """Show a stage of the job; fits wherever a `hilum.jobs.Progress` is wanted."""
        note = f"{done} of {total}" if total > 1 else ""
        self._show(stage.value, done, total, note)

    def finish(self) -> None:
        """Show every step as done."""
        # A study that was sent before went through its steps unseen, long ago.
        if self.step not in {"", UPLOAD}:
            self._catch_up(len(STEPS))
        for step in STEPS:
            if step in self._tasks:
                self._complete(step)

    def _show(self, step: str, done: int, total: int, note: str) -> None:
        if step != self.step:
            self._begin(step)
        # A stage that has ended calls itself one of one, whatever it counted before.
        self._totals[step] = max(total, self._totals.get(step, 0))
        # A step of unknown length pulses.
        self._bars.update(self._tasks[step], completed=done, total=total or None, note=note)
        if not err.is_terminal:
            self._say(step, done, total, note)

    def _begin(self, step: str) -> None:
        place = STEPS.index(step)
        if self.step:
            self._catch_up(place)
        for earlier in STEPS[:place]:
            if earlier in self._tasks:
                self._complete(earlier)
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=None, note="")
        self.step = step

    def _catch_up(self, place: int) -> None:
        """Show the steps before a place that were shorter than a look at the job."""
        for step in STEPS[STEPS.index(self.step) + 1 : place]:
            if step not in self._tasks:
                self._tasks[step] = self._bars.add_task(step, total=None, note="")
                self._totals[step] = 1
                if not err.is_terminal:
                    self._say(step, 0, 0, "")

    def _complete(self, step: str) -> None:
        total = self._totals[step]
        note = f"{total} of {total}" if step == Stage.SLICES and total > 1 else ""
        self._bars.update(self._tasks[step], total=1, completed=1, note=note)
        self._bars.stop_task(self._tasks[step])

    def _say(self, step: str, done: int, total: int, note: str) -> None:
        # A log gets the start, the quarters and the end, not every slice.
        part = PLAIN_PARTS * done // total if total else 0
        if (mark := f"{step} {part}") != self._said:
            self._said = mark
            narrate(f"  {step:<10} {note}".rstrip())
