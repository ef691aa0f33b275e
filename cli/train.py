# SPDX-License-Identifier: Apache-2.0
"""`hilum train`: from labelled slices to weights with a card."""

import dataclasses
import math
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

from cli.evaluate import show_evaluation
from cli.terminal import err, narrate
from hilum.evaluation.release import Trained, release
from hilum.networks.weights import digest
from hilum.training.batches import read_examples
from hilum.training.engine import Step
from hilum.training.engine import train as train_network
from hilum.training.recipes import RECIPES, Recipe

SMOOTHING = 0.95
"""Share of the earlier losses in the one shown: single steps jump."""


@click.command("train", short_help="Train a network on labelled slices.")
@click.argument("recipe_name", metavar="RECIPE", type=click.Choice(sorted(RECIPES)))
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder with ct-lesions/labelled (images/, masks/) and ct-controls.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for checkpoints, weights and card.",
)
@click.option(
    "--weights",
    "earlier",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Float32 weights of an earlier run to go on from.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Peak learning rate.")
@click.option("--steps", type=click.IntRange(min=1), help="Optimiser steps, if not the recipe's.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="End by then.")
@click.option("--version", default="1.0.0", show_default=True, help="Of the weights.")
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where the network runs.",
)
def train(
    recipe_name: str,
    data: Path,
    out: Path,
    earlier: Path | None,
    rate: float | None,
    steps: int | None,
    minutes: float | None,
    version: str,
    device: str,
) -> None:
    """Train a network by RECIPE and measure it on the slices the recipe holds out.

    Starts from the chest-CT backbone (`make train-deps` installs it) and writes OUT/RECIPE-float32
    .safetensors every 100 steps: the averaged weights, so a run may be cut short. At the end the
    weights are packed to int8, their operating point is chosen, and
    OUT/maskrcnn-RECIPE.safetensors with its .json card can be copied to hilum/weights/.

    On two cores a step of four slices takes 1.5 s. MINUTES shortens the schedule, so that the
    learning rate still falls to zero.
    """
    recipe = _recipe(recipe_name, steps=steps, rate=rate)
    learnt, judged = read_examples(recipe, data)
    narrate(
        f"{len(learnt.lesions)} slices and {len(learnt.controls)} controls to learn from, "
        f"{len(judged.lesions)} and {len(judged.controls)} held out."
    )
    out.mkdir(parents=True, exist_ok=True)
    weights = out / f"{recipe.name}-float32.safetensors"
    with _bars() as bars:
        last = _Curve(bars, recipe)
        train_network(
            recipe,
            data=data,
            out=weights,
            weights=earlier,
            minutes=minutes or math.inf,
            device=device,
            progress=last.show,
        )
    trained = Trained(recipe, weights, last.step, learnt, judged, _start(earlier))
    narrate("Measuring on the slices held out.")
    card, evaluation = release(trained, out, version=version)
    show_evaluation(evaluation)
    click.echo(str(out / f"{card.name}.safetensors"))


def _recipe(name: str, *, steps: int | None, rate: float | None) -> Recipe:
    recipe = RECIPES[name]
    return dataclasses.replace(
        recipe, steps=steps or recipe.steps, learning_rate=rate or recipe.learning_rate
    )


def _start(earlier: Path | None) -> str:
    """Say in the card what the run went on from."""
    if earlier is None:
        return "the chest-CT backbone"
    return f"{earlier.name}, SHA-256 {digest(earlier)}"


class _Curve:
    """Shows each step on a bar and remembers the last."""

    def __init__(self, bars: Progress, recipe: Recipe) -> None:
        self.step = 0
        self._bars = bars
        self._loss = math.nan
        self._task = bars.add_task(recipe.name, total=recipe.steps, note="")

    def show(self, step: Step) -> None:
        """Move the bar to a step."""
        self.step = step.number
        known = not math.isnan(self._loss)
        self._loss = SMOOTHING * self._loss + (1 - SMOOTHING) * step.loss if known else step.loss
        # A run with a time limit ends before its steps do: the bar follows the schedule.
        total = round(step.number / step.fraction)
        note = f"loss {self._loss:.3f}  rate {step.rate:.1e}"
        self._bars.update(self._task, completed=step.number, total=total, note=note)


def _bars() -> Progress:
    return Progress(
        TextColumn("  {task.description:<10}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    )
