# SPDX-License-Identifier: Apache-2.0
"""A comparison as a picture: the Dice of every slice, and the paper's figures with intervals."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hilum.evaluation.comparison import Comparison
from hilum.evaluation.comparison_table import PLOT
from hilum.evaluation.figures import read
from hilum.research import need

BARS = {"dice": "Dice, mean", "f1": "F1, pooled", "lesions.ap50": "AP50", "lesions.ap": "AP"}
"""Figures drawn as bars, by their path in an evaluation."""

BAR_WIDTH = 0.8
"""Of all bars of one figure together; figures lie 1 apart."""


def write_plot(comparison: Comparison, folder: Path) -> Path:
    """Draw a comparison into a folder of pages and return the picture's path."""
    folder.mkdir(parents=True, exist_ok=True)
    # A figure by itself is drawn by Agg and leaves no state behind, as pyplot's would.
    figure = need("matplotlib.figure").Figure(figsize=(10, 4.5), dpi=110, layout="constrained")
    slices, bars = figure.subplots(1, 2)
    _draw_slices(slices, comparison)
    _draw_bars(bars, comparison)
    path = folder / PLOT
    figure.savefig(path)
    return path


def _draw_slices(axes: Any, comparison: Comparison) -> None:
    """Draw one line a slice from network to network, over the spread of each."""
    places = range(1, len(comparison.rows) + 1)
    dice = np.array([row.dice for row in comparison.rows])  # [network, slice]
    axes.boxplot(dice.T, positions=list(places), widths=0.5, showfliers=False)
    axes.plot(places, dice, color="tab:blue", alpha=0.25, linewidth=0.8, marker=".")
    axes.set_xticks(list(places), [row.name for row in comparison.rows])
    axes.set_ylim(0, 1)
    axes.set_ylabel("Dice of a slice")
    axes.set_title(f"{len(comparison.slices)} slices, a line each")


def _draw_bars(axes: Any, comparison: Comparison) -> None:
    width = BAR_WIDTH / len(comparison.rows)
    for number, row in enumerate(comparison.rows):
        values = asdict(row.evaluation)
        for place, path in enumerate(BARS):
            figure = read(values, path)
            if figure is not None:
                # The middle of each group of bars lies at its figure's place.
                left = place + width * (number - (len(comparison.rows) - 1) / 2)
                below, above = figure.value - figure.low, figure.high - figure.value
                axes.bar(left, figure.value, width, color=f"C{number}", label=row.name)
                spread = [[max(0.0, below)], [max(0.0, above)]]
                axes.errorbar(left, figure.value, spread, color="black", capsize=3)
    axes.set_xticks(range(len(BARS)), list(BARS.values()))
    axes.set_ylim(0, 1)
    handles, names = axes.get_legend_handles_labels()
    first = dict(zip(reversed(names), reversed(handles), strict=True))
    axes.legend([first[row.name] for row in comparison.rows], [row.name for row in comparison.rows])
    axes.set_title("with 95 % intervals")
