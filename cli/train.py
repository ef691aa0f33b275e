# SPDX-License-Identifier: Apache-2.0
"""`hilum train`: from labelled slices to weights with the record of their run."""

import dataclasses
import math
from pathlib import Path

import click
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cli.looking import DEVICE, FOLDER
from cli.terminal import err, narrate
from hilum.training.course import CHECKPOINT_STEPS, Course
from hilum.training.course import train as run_course
from hilum.training.curve import SMOOTHING
from hilum.training.engine import Step
from hilum.training.material import Material, gather
from hilum.training.recipe import Recipe, read_recipe, recipe_names
from hilum.training.run import read_run


@click.command("train", short_help="Train a network on labelled slices.")
@click.argument("name", metavar="RECIPE")
@click.option(
    "--data",
    "folders",
    type=FOLDER,
    multiple=True,
    required=True,
    help="Folder of labelled slices or volumes; may be given several times.",
)
@click.option(
    "--controls",
    type=FOLDER,
    help="Folder of whole slices without lesions; a third, at most 20, are held out.",
)
@click.option("--fold", type=click.IntRange(0, 4), help="Hold out this fifth; nothing if absent.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Folder for checkpoints, weights, record and curves.",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights to go on from, instead of those of the recipe's start.",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Go on from the run's checkpoint if there is one, or begin anew.",
)
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Peak learning rate.")
@click.option("--steps", type=click.IntRange(min=1), help="Optimiser steps, if not the recipe's.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="End by then.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=CHECKPOINT_STEPS,
    show_default=True,
    help="Steps between checkpoints.",
)
@DEVICE
def train(
    name: str,
    folders: tuple[Path, ...],
    controls: Path | None,
    fold: int | None,
    out: Path,
    weights: Path | None,
    rate: float | None,
    steps: int | None,
    minutes: float | None,
    checkpoint_every: int,
    device: str,
    *,
    resume: bool,
) -> None:
    """Train a network by RECIPE, the name of a shipped one or a .toml file, and print its weights.

    Data may lie as images/ with masks/, as NIfTI volumes with masks, or as DICOM series with
    SEG objects. A recipe starts from the recipe it names, whose run must lie finished in OUT, or
    from the chest-CT backbone (`make train-deps` installs it).

    Writes OUT/RECIPE.safetensors, the averaged weights in float32, with RECIPE.run.json and
    the curves RECIPE.csv and RECIPE.png; with a fold, all are called RECIPE-fold-K.

    A run that was cut short goes on from RECIPE.checkpoint by itself when it is started again with
    the same recipe and data, and ends with the weights it would have had; with others it is
    refused. --minutes shortens the schedule, so that the learning rate still falls to zero;
    minutes before a cut count. A finished run leaves no checkpoint and starts anew.
    """
    recipe = _recipe(name, steps=steps, rate=rate)
    material = gather(folders, controls=controls, fold=fold, clean_slices=recipe.clean_slices)
    course = Course(
        recipe=recipe,
        material=material,
        out=out,
        weights=weights,
        minutes=minutes or math.inf,
        device=device,
        checkpoint_every=checkpoint_every,
    )
    _announce(course, resume=resume)
    with _bars() as bars:
        path = run_course(course, _Board(bars, recipe).show)
    _sum_up(path)
    click.echo(str(path))


def _recipe(name: str, *, steps: int | None, rate: float | None) -> Recipe:
    if not name.endswith(".toml") and name not in recipe_names():
        raise click.BadParameter(
            f"{name!r} is not one of {', '.join(recipe_names())}, nor a .toml file.",
            param_hint="RECIPE",
        )
    recipe = read_recipe(name)
    return dataclasses.replace(
        recipe, steps=steps or recipe.steps, learning_rate=rate or recipe.learning_rate
    )


def _announce(course: Course, *, resume: bool) -> None:
    _count(course.material)
    if course.checkpoint.exists() and resume:
        narrate(f"Going on from {course.checkpoint}; --no-resume begins anew.")
    elif not resume:
        course.checkpoint.unlink(missing_ok=True)


def _count(material: Material) -> None:
    learnt, judged = material.learnt, material.held_out
    narrate(
        f"{len(learnt.lesions)} slices and {len(learnt.controls)} controls to learn from, "
        f"{len(judged.lesions)} and {len(judged.controls)} held out."
    )


def _sum_up(weights: Path) -> None:
    run = read_run(weights)
    narrate(
        f"{run.steps_made} steps of {run.seconds_per_step:.2f} s, at most "
        f"{run.memory_peak_mb:.0f} MB of memory, on {run.machine}."
    )


class _Board:
    """Shows each step on a bar, and each look at the slices held out on a line."""

    def __init__(self, bars: Progress, recipe: Recipe) -> None:
        self._bars = bars
        self._loss = math.nan
        self._task = bars.add_task(recipe.name, total=1.0, note="")

    def show(self, step: Step, dice: float | None) -> None:
        """Move the bar to a step."""
        known = not math.isnan(self._loss)
        self._loss = SMOOTHING * self._loss + (1 - SMOOTHING) * step.loss if known else step.loss
        # A run with a time limit ends before its steps do, so the bar follows the schedule; rich
        # forgets how fast it moved whenever its total changes.
        made = f"step {step.number}  {step.seconds:.2f} s/step"
        note = f"{made}  loss {self._loss:.3f}  rate {step.rate:.1e}"
        self._bars.update(self._task, completed=step.fraction, note=note)
        if dice is not None:
            narrate(f"Step {step.number}: mean Dice {dice:.3f} on the slices held out.")


def _bars() -> Progress:
    return Progress(
        TextColumn("  {task.description:<10}"),
        BarColumn(bar_width=32),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
    )
