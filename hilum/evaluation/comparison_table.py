# SPDX-License-Identifier: Apache-2.0
"""A comparison as rows for a terminal, a page for the documentation, and plain values."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hilum.evaluation.comparison import Comparison, Row
from hilum.evaluation.figures import FIGURES, read
from hilum.evaluation.model_card import table

PAGE = "comparison.md"
PLOT = "comparison.png"
"""Files of a comparison in a folder of pages."""

MEASURES = (
    "f1",
    "lesions.ap50",
    "dice",
    "dice_ground_glass",
    "dice_consolidation",
    "lesions.ap",
    "share.bias",
    "share.lower",
    "share.upper",
    "controls_clean",
    "seconds_per_slice",
)
"""Figures in the table, by their path in an evaluation, the paper's own first."""


def lines(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table: what is measured, then each network's figure."""
    values = [asdict(row.evaluation) for row in comparison.rows]
    for path in MEASURES:
        cells = tuple(_cell(one, path) for one in values)
        if any(cells):
            yield (FIGURES[path].title, *cells)
    yield ("peak memory, MiB", *(f"{row.cost.memory_peak_mb:.0f}" for row in comparison.rows))
    yield ("parameters, millions", *(f"{row.cost.parameters / 1e6:.1f}" for row in comparison.rows))
    yield ("GFLOP a slice", *(f"{row.cost.gflop:.1f}" for row in comparison.rows))
    yield ("operating point", *(f"{row.evaluation.threshold:.2f}" for row in comparison.rows))


def head(comparison: Comparison) -> tuple[str, ...]:
    """Return the columns of the table."""
    return ("", *(_title(row) for row in comparison.rows))


def summary(comparison: Comparison) -> str:
    """Say what was judged, by what."""
    first = comparison.rows[0].evaluation
    how = "out of fold, each slice by a run that did not learn it" if comparison.out_of_fold else ""
    parts = [f"{len(comparison.slices)} labelled slices", how, f"{first.controls} controls"]
    return f"{', '.join(part for part in parts if part)}; on {comparison.machine}."


def plain(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as values for JSON."""
    return {"warnings": comparison.warnings} | asdict(comparison)


def write_page(comparison: Comparison, folder: Path) -> Path:
    """Write the page into a folder that has the plot, and return its path."""
    path = folder / PAGE
    path.write_text(page(comparison), encoding="utf-8")
    return path


def page(comparison: Comparison) -> str:
    """Describe a comparison in Markdown."""
    day = datetime.now(UTC).date().isoformat()
    return "\n".join(
        [
            "# The networks side by side",
            "",
            f"Written by `hilum compare` on {day}: {summary(comparison)}",
            "Intervals are 95 %, bootstrapped over volumes. Memory is that of a whole process.",
            "",
            *[f"> **Warning:** {warning}\n" for warning in comparison.warnings],
            *table(head(comparison), lines(comparison)),
            *[f"- {one.sentence()}" for one in comparison.differences],
            "",
            f"![Dice of each slice, F1 and AP50 by network]({PLOT})",
            "",
            *table(
                ("network", "SHA-256 of the weights"),
                (
                    (_title(row), "<br>".join(f"`{one}`" for one in row.sha256))
                    for row in comparison.rows
                ),
            ),
        ]
    )


def _cell(values: dict[str, Any], path: str) -> str:
    figure = read(values, path)
    if figure is None:
        return ""
    form = FIGURES[path].form
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def _title(row: Row) -> str:
    return f"{row.name} {row.version}"
