# SPDX-License-Identifier: Apache-2.0
"""What commands that run networks over slices share: options, a bar while they look, the table of figures."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from cli.terminal import err, narrate
from hilum.evaluation.evaluate import Evaluation
from hilum.evaluation.figures import rows
from hilum.training.data import Example

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
"""A folder that is there."""

DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
"""Where networks run."""


@contextmanager
def looking(total: int) -> Iterator[Callable[[Example], None]]:
    """Show a bar and yield what moves it by one slice."""
    with Progress(
        TextColumn("  {task.description:<10}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as bars:
        task = bars.add_task("slices", total=total)

        def advance(_: Example) -> None:
            bars.advance(task)

        yield advance


def show_evaluation(evaluation: Evaluation) -> None:
    """Show figures and intervals on standard error."""
    table = Table("figure", "value", "95 % interval", box=None)
    for title, value, span in rows(asdict(evaluation)):
        table.add_row(title, value, span)
    err.print(table)
    without = evaluation.controls_without_lung
    left_out = f" ({without} without lung left out)" if without else ""
    narrate(
        f"{evaluation.slices} slices, {evaluation.controls} controls{left_out}, cut at "
        f"{evaluation.threshold:.2f}."
    )


def warn(sentence: str) -> None:
    """Say what makes the figures that follow misleading."""
    err.print(f"WARNING: {sentence}", style="bold red", markup=False, soft_wrap=True)


def narrate_learnt(name: str, learnt: Sequence[str]) -> None:
    """Warn of slices that a network is judged on though it has learnt them."""
    if learnt:
        warn(
            f"{name} has learnt {len(learnt)} of the slices it is judged on: its figures say how "
            "well it remembers, not how well it does."
        )
