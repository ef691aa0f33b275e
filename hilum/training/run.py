# SPDX-License-Identifier: Apache-2.0
"""The record of a finished run: what decided it, what it saw, and what it took."""

import json
import os
import platform
import re
import resource
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from hilum.cards import CARD_SUFFIX, NetworkInfo
from hilum.errors import ConfigurationError
from hilum.networks.maskrcnn import Segmenter, build
from hilum.networks.weights import digest, load_path
from hilum.training.recipe import Recipe, parse_recipe
from hilum.training.validation import IN_TRAINING

FROM_BACKBONE = "the chest-CT backbone"
"""What a run says that went on from no earlier one."""

STATUS = Path("/proc/self/status")
"""Where Linux counts the memory of this process alone, in kB of 1,024 bytes."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run.

    Attributes:
        recipe: what decided it.
        fold: which fold it held out; None for none.
        steps_made: optimiser steps; fewer than the recipe's where a time limit ended it.
        learnt: names of the slices with lesions that it learnt from.
        held_out: names of those it never saw.
        learnt_controls: slices without lesions that it learnt from.
        held_out_controls: those it never saw.
        start: what it went on from.
        sources: folders that the slices were read from.
        seconds_per_step: mean.
        memory_peak_mb: of the GPU where there was one, else of the process.
        machine: where it ran.
    """

    recipe: Recipe
    fold: int | None
    steps_made: int
    learnt: tuple[str, ...]
    held_out: tuple[str, ...]
    learnt_controls: tuple[str, ...]
    held_out_controls: tuple[str, ...]
    start: str
    sources: tuple[str, ...]
    seconds_per_step: float
    memory_peak_mb: float
    machine: str


def stem(recipe: Recipe, fold: int | None) -> str:
    """Return how the files of a run are called, without their endings."""
    return recipe.name if fold is None else f"{recipe.name}-fold-{fold}"


def record_path(weights: Path) -> Path:
    """Return where the record of a weights file lies."""
    return weights.with_name(f"{weights.name.removesuffix('.safetensors')}.run.json")


def write_run(run: Run, weights: Path) -> None:
    """Write a record beside the weights it is about."""
    text = json.dumps(asdict(run), indent=2, ensure_ascii=False)
    record_path(weights).write_text(text + "\n", encoding="utf-8")


def read_run(weights: Path) -> Run:
    """Read the record beside a weights file.

    Raises:
        ConfigurationError: there is none, so the run has not ended, or it is not one.
    """
    path = record_path(weights)
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        recipe = parse_recipe(values.pop("recipe"), path.name)
        names = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return Run(recipe=recipe, **(values | names))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(
            f"{path}: no readable record of a finished run ({error})."
        ) from error


def load_trained(weights: Path, *, device: str = "auto") -> Segmenter:
    """Load weights that have a card, or those of a run, which have its record instead."""
    if weights.with_suffix(CARD_SUFFIX).exists():
        return load_path(weights, device=device)
    run = read_run(weights)
    network = build(run.recipe.backbone)
    network.load_state_dict(load_file(weights))
    return Segmenter(network, run_info(weights), device=device)


def run_info(weights: Path) -> NetworkInfo:
    """Return what a report remembers of a run's weights, which have no operating point yet."""
    return replace(IN_TRAINING, name=weights.stem, sha256=digest(weights))


def memory_peak_mb(device: torch.device) -> float:
    """Return the most memory this process has held: on its GPU if it has one."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if STATUS.exists():
        # What getrusage counts outlives fork and exec: a child would report its parent's memory.
        peak = re.search(rb"^VmHWM:\s+(\d+) kB$", STATUS.read_bytes(), re.MULTILINE)
        if peak:
            return int(peak[1]) / 2**10
    # macOS counts bytes, others kibibytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def describe_machine(device: torch.device) -> str:
    """Name the chip that trains, and the version of torch."""
    if device.type == "cuda":
        chip = torch.cuda.get_device_name(device)
    else:
        chip = f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{chip}, torch {torch.__version__}"
