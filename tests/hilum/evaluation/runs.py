"""Runs that learnt nothing: real files of an untrained network, with their records."""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hilum.networks.maskrcnn import build
from hilum.training.data import Example
from hilum.training.engine import write
from hilum.training.recipe import Recipe
from hilum.training.run import Run, write_run

FOLDS = (("a", "b"), ("c",))
"""What each fold run held out, of all that the last run learnt."""

CONTROLS = ("healthy",)
"""What every run held out."""

LEARNT_CONTROLS = ("known",)
"""What every run learnt."""

NAMES = tuple(name for fold in FOLDS for name in fold)


def make_runs(folder: Path, *recipes: str) -> Path:
    """Write the last run and two fold runs of recipes, all with the same weights."""
    torch.manual_seed(3)
    weights = folder / "weights"
    write(build("resnet50"), weights)
    for recipe in recipes:
        make_run(folder, weights, recipe, held_out=())
        for fold, held_out in enumerate(FOLDS):
            make_run(folder, weights, recipe, fold=fold, held_out=held_out)
    return folder


def make_run(
    folder: Path,
    weights: Path,
    recipe: str,
    *,
    held_out: tuple[str, ...],
    fold: int | None = None,
    start: str = "the chest-CT backbone",
) -> Path:
    """Link the weights to a run's name and write its record."""
    stem = recipe if fold is None else f"{recipe}-fold-{fold}"
    path = folder / f"{stem}.safetensors"
    os.link(weights, path)
    run = Run(
        recipe=Recipe(recipe, "resnet50"),
        fold=fold,
        steps_made=7,
        learnt=tuple(name for name in NAMES if name not in held_out),
        held_out=held_out,
        learnt_controls=LEARNT_CONTROLS,
        held_out_controls=CONTROLS,
        start=start,
        sources=("/somewhere/ct-lesions/labelled", "/somewhere/ward"),
        seconds_per_step=0.5,
        memory_peak_mb=800,
        machine="a test",
    )
    write_run(run, path)
    return path


def lesion_slice(name: str, *, ill: bool = True) -> Example:
    """Make a dark lung with a gray lesion of each class, or with none."""
    labels = np.zeros((96, 128), np.uint8)
    if ill:
        labels[30:60, 20:40], labels[30:60, 40:50] = 1, 2
    image = np.where(labels > 0, 0.5, 0.25).astype(np.float32)
    return Example(name, image, labels)


def write_slices(folder: Path, names: tuple[str, ...] = NAMES) -> Path:
    """Write labelled slices as pictures and masks."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for name in names:
        example = lesion_slice(name)
        gray = np.rint(example.image * 255).astype(np.uint8)
        Image.fromarray(gray).save(folder / "images" / f"{name}.png")
        Image.fromarray(example.labels).save(folder / "masks" / f"{name}.png")
    return folder


def write_controls(folder: Path, names: tuple[str, ...] = (*CONTROLS, *LEARNT_CONTROLS)) -> Path:
    """Write whole slices: a body with an air-filled lung in it."""
    folder.mkdir(parents=True)
    for name in names:
        body = np.full((96, 128), 190, np.uint8)
        body[20:70, 20:100] = 30
        Image.fromarray(body).save(folder / f"{name}.png")
    return folder
