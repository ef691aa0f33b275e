# SPDX-License-Identifier: Apache-2.0
"""The course of a run: every step's losses and every look at the slices held out, kept and drawn."""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from hilum.research import need
from hilum.training.engine import Step

FIXED: Final = ("step", "rate", "seconds", "loss", "dice")
"""Columns before those of the single losses; `dice` is empty where nobody looked."""

PLOTS: Final = "matplotlib.figure"
"""The module that draws; of the extra `research`."""

SMOOTHING: Final = 0.95
"""Share of the earlier losses in the one drawn: single steps jump."""


@dataclass(slots=True)
class Curve:
    """One row for each step made.

    Attributes:
        rows: values by column, as text.
    """

    rows: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, *, steps: int) -> "Curve":
        """Read the first rows of an earlier part of the run; empty where there was none."""
        if not path.exists() or not steps:
            return cls()
        with path.open(encoding="utf-8", newline="") as file:
            return cls([row for row in csv.DictReader(file) if int(row["step"]) <= steps])

    def add(self, step: Step, dice: float | None = None) -> None:
        """Remember a step, and the mean Dice on the slices held out if they were looked at."""
        values = {
            "step": str(step.number),
            "rate": f"{step.rate:.3e}",
            "seconds": f"{step.seconds:.3f}",
            "loss": f"{step.loss:.5f}",
            "dice": "" if dice is None else f"{dice:.4f}",
        }
        self.rows.append(values | {name: f"{loss:.5f}" for name, loss in step.losses.items()})

    def write(self, path: Path) -> None:
        """Write the rows as CSV and draw them as PNG beside it."""
        if not self.rows:
            return
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(self.rows[-1]), restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        self._draw().savefig(path.with_name(f"{path.name.removesuffix('.csv')}.png"))

    def _draw(self) -> Any:
        figure = need(PLOTS).Figure(figsize=(8, 6), dpi=110, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        self._draw_losses(above)
        self._draw_dice(below)
        below.set_xlabel("step")
        return figure

    def _draw_losses(self, axes: Any) -> None:
        steps = self._column("step")
        for name in ["loss", *[name for name in self.rows[-1] if name not in FIXED]]:
            label, width = ("sum", 2.0) if name == "loss" else (name.removeprefix("loss_"), 1.0)
            axes.plot(steps, smooth(self._column(name)), label=label, linewidth=width)
        axes.set_yscale("log")
        axes.set_ylabel("loss, smoothed")
        axes.legend(ncols=4, fontsize="small")

    def _draw_dice(self, axes: Any) -> None:
        looks = [row for row in self.rows if row["dice"]]
        steps, dice = ([float(row[key]) for row in looks] for key in ("step", "dice"))
        axes.plot(steps, dice, marker="o")
        axes.set_ylim(0, 1)
        axes.set_ylabel("mean Dice, held out")
        if not looks:
            axes.text(0.5, 0.5, "no look", transform=axes.transAxes, ha="center")

    def _column(self, name: str) -> list[float]:
        return [float(row.get(name) or "nan") for row in self.rows]


def smooth(values: list[float]) -> list[float]:
    """Return the exponential moving average of values, unbiased at their start."""
    smoothed, total, weight = [], 0.0, 0.0
    for value in values:
        total = SMOOTHING * total + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + (1 - SMOOTHING)
        smoothed.append(total / weight if weight else np.nan)
    return smoothed
