# SPDX-License-Identifier: Apache-2.0
"""A run from its recipe to its files: weights, record, curve, and checkpoints on the way."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import choose_device
from hilum.networks.weights import digest
from hilum.research import need
from hilum.training import engine
from hilum.training.curve import PLOTS, Curve
from hilum.training.engine import Step, learn, write
from hilum.training.material import Material
from hilum.training.recipe import Recipe
from hilum.training.run import (
    FROM_BACKBONE,
    Run,
    describe_machine,
    memory_peak_mb,
    record_path,
    stem,
    write_run,
)
from hilum.training.state import State
from hilum.training.validation import mean_dice

CHECKPOINT_STEPS = 100
"""Steps between checkpoints: on two cores some three minutes, the most that is ever lost."""

Watcher = Callable[[Step, float | None], None]
"""Told each step, and the mean Dice on the slices held out where it was just measured."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is to be run, and where its files go.

    Attributes:
        recipe: what decides the run.
        material: what it learns from and what it holds out.
        out: folder of its files, and of those of the recipe it goes on from.
        weights: to go on from, instead of those of the recipe's `start`.
        minutes: shortens the schedule, so that the learning rate reaches zero by then.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
        checkpoint_every: steps between checkpoints.
    """

    recipe: Recipe
    material: Material
    out: Path
    weights: Path | None = None
    minutes: float = math.inf
    device: str = "auto"
    checkpoint_every: int = CHECKPOINT_STEPS

    def file(self, ending: str) -> Path:
        """Return where a file of this run lies, such as `resnet50-fold-0.csv`."""
        return self.out / f"{stem(self.recipe, self.material.fold)}.{ending}"

    @property
    def checkpoint(self) -> Path:
        """Where the run can be gone on from; absent before its first and after its end."""
        return self.file("checkpoint")


def train(course: Course, watch: Watcher = lambda _step, _dice: None) -> Path:
    """Run a course to its end, from its checkpoint if it has one, and return its weights.

    Raises:
        ConfigurationError: the weights to start from or the checkpoint cannot be used, or a loss
            is not finite.
    """
    # Hours later would be a poor time to learn that the curve cannot be drawn.
    need(PLOTS)
    course.out.mkdir(parents=True, exist_ok=True)
    state, origin = _begin(course)
    curve = Curve.read(course.file("csv"), steps=state.number)
    for step in learn(state, course.material.learnt, course.recipe, minutes=course.minutes):
        dice = _look(state, step, course)
        curve.add(step, dice)
        watch(step, dice)
        if step.number % course.checkpoint_every == 0 and step.fraction < 1:
            state.write(course.checkpoint, _identity(course, origin))
            curve.write(course.file("csv"))
    curve.write(course.file("csv"))
    return _finish(course, state, origin)


def origin_of(course: Course) -> Path | None:
    """Return the weights a course goes on from; None for the chest-CT backbone.

    Raises:
        ConfigurationError: the recipe goes on from another, whose run has not ended.
    """
    if course.weights or not course.recipe.start:
        return course.weights
    weights = course.out / f"{course.recipe.start}.safetensors"
    if not (weights.exists() and record_path(weights).exists()):
        raise ConfigurationError(
            f"{course.recipe.name} goes on from {course.recipe.start}, which has no finished run "
            f"in {course.out}: expected {weights.name} with {record_path(weights).name}. "
            "Run that recipe first, or name weights to go on from."
        )
    return weights


def _begin(course: Course) -> tuple[State, str]:
    """Return the state to step from, and in words what the run went on from."""
    weights, recipe = origin_of(course), course.recipe
    origin = f"{weights.name}, SHA-256 {digest(weights)}" if weights else FROM_BACKBONE
    if course.checkpoint.exists():
        network = engine.blank(recipe)
    elif weights:
        network = engine.start_from(recipe, weights)
    else:
        network = engine.start(recipe, course.material.learnt)
    state = State(network.to(choose_device(course.device)), recipe)
    if course.checkpoint.exists():
        state.read(course.checkpoint, _identity(course, origin))
    return state, origin


def _identity(course: Course, origin: str) -> dict[str, Any]:
    """Return what a checkpoint must agree in, as plain values."""
    names = course.material.names()
    return {"recipe": asdict(course.recipe), "start": origin, "fold": course.material.fold} | names


def _look(state: State, step: Step, course: Course) -> float | None:
    every, judged = course.recipe.validate_every, course.material.held_out.lesions
    if not every or not judged or (step.number % every and step.fraction < 1):
        return None
    return mean_dice(state.average, judged, device=str(state.device))


def _finish(course: Course, state: State, origin: str) -> Path:
    """Write the averaged weights with their record; what could be gone on from is done with."""
    weights = course.file("safetensors")
    write(state.average, weights)
    names = {key: tuple(value) for key, value in course.material.names().items()}
    run = Run(
        recipe=course.recipe,
        fold=course.material.fold,
        steps_made=state.number,
        learnt=names["learnt"],
        held_out=names["held_out"],
        learnt_controls=names["learnt_controls"],
        held_out_controls=names["held_out_controls"],
        start=origin,
        sources=course.material.sources,
        seconds_per_step=round(state.stepping_s / max(1, state.number), 3),
        memory_peak_mb=round(memory_peak_mb(state.device)),
        machine=describe_machine(state.device),
    )
    write_run(run, weights)
    course.checkpoint.unlink(missing_ok=True)
    return weights
