# SPDX-License-Identifier: Apache-2.0
"""The training loop: from a state to the next, step by step."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hilum.errors import BrokenWeights, ConfigurationError
from hilum.networks.maskrcnn import LesionRCNN, build, native_dtype
from hilum.networks.weights import unpack
from hilum.training.backbone import load_backbone, recalibrate
from hilum.training.batches import Examples, draw_batches, images, still, targets
from hilum.training.data import Example
from hilum.training.recipe import Recipe
from hilum.training.state import State

LAYERS = ("layer1.", "layer2.", "layer3.", "layer4.")
"""Residual layers of the backbone, front to back. What lies before them is never trained: edges
are the same in every chest."""

RECALIBRATION_SLICES = 48
"""Slices that the cut backbone's statistics are measured on: more hold no more variety, and every
one of them lies in memory at once."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimiser step did.

    Attributes:
        number: from 1.
        fraction: of the schedule done, 0..1.
        losses: torchvision's five and those of the dense branch, by name.
        rate: learning rate of the new layers.
        seconds: that it took.
    """

    number: int
    fraction: float
    losses: dict[str, float]
    rate: float
    seconds: float = 0.0

    @property
    def loss(self) -> float:
        """The sum that was minimised."""
        return sum(self.losses.values())


def start(recipe: Recipe, examples: Examples) -> LesionRCNN:
    """Build the recipe's network on the chest-CT backbone."""
    network = blank(recipe)
    body = network.backbone.body
    load_backbone(body, recipe.backbone)
    spread = examples.lesions[:: 1 + (len(examples.lesions) - 1) // RECALIBRATION_SLICES]
    slices = images(still(spread, recipe), torch.device("cpu"))
    padded, _ = network.transform(slices)
    recalibrate(body.layer4, body, padded.tensors)
    return network


def start_from(recipe: Recipe, weights: Path) -> LesionRCNN:
    """Build the recipe's network with the weights of an earlier run, or with shipped ones.

    Raises:
        BrokenWeights: the file is not of such a network.
    """
    network = blank(recipe)
    try:
        network.load_state_dict(unpack(load_file(weights)))
    except (RuntimeError, OSError, ValueError, SafetensorError) as error:
        raise BrokenWeights(
            f"{weights}: tensors do not fit a {recipe.backbone} network, as {recipe.name} expects."
        ) from error
    return network


def blank(recipe: Recipe) -> LesionRCNN:
    """Build the recipe's network untrained, with the layers that stay as they are frozen."""
    torch.manual_seed(recipe.seed)
    network = build(recipe.backbone)
    trainable = LAYERS[len(LAYERS) - recipe.trainable_layers :]
    for name, parameter in network.backbone.body.named_parameters():
        parameter.requires_grad_(name.startswith(trainable))
    return network


def learn(
    state: State, examples: Examples, recipe: Recipe, *, minutes: float = math.inf
) -> Iterator[Step]:
    """Step a state through the rest of its schedule, and yield each step.

    Whatever the state has behind it, the steps ahead are the same: batches and chance are
    functions of the recipe and the step's number.

    Args:
        state: changed in place.
        examples: to learn from.
        recipe: what decides the run.
        minutes: shortens the schedule, so that the learning rate reaches zero by then; time spent
            before a pause counts.

    Raises:
        ConfigurationError: a loss is not finite, so nothing after it would mean anything.
    """
    batches = draw_batches(examples, recipe, made=state.number)
    fraction, began = 0.0, time.monotonic() - state.spent_s
    while fraction < 1 and state.number < recipe.steps:
        stepped = time.monotonic()
        number = state.number + 1
        fraction = min(1.0, max(number / recipe.steps, (stepped - began) / (60 * minutes)))
        factor = _schedule(number, fraction, recipe)
        torch.manual_seed(_seed(recipe, number))
        losses = _step(state, next(batches), recipe, factor)
        state.follow(min(recipe.ema_decay, (1 + number) / (10 + number)))
        state.number = number
        seconds = time.monotonic() - stepped
        state.stepping_s += seconds
        state.spent_s = time.monotonic() - began
        yield Step(number, fraction, losses, recipe.learning_rate * factor, seconds)


def write(network: nn.Module, path: Path) -> None:
    """Write a network's tensors as float32 safetensors, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, partial)
    partial.replace(path)


def _step(
    state: State, batch: Sequence[Example], recipe: Recipe, factor: float
) -> dict[str, float]:
    for group in state.optimiser.param_groups:
        group["lr"] = group["peak"] * factor
    device = state.device
    # A chip that only imitates bfloat16 takes ten times as long by it.
    is_native = native_dtype(device) is torch.bfloat16
    with torch.autocast(device.type, torch.bfloat16, enabled=is_native):
        losses = state.network(images(batch, device), targets(batch, device))
    each = torch.stack(list(losses.values()))
    state.optimiser.zero_grad()
    torch.autograd.backward(each.sum())
    trained = chain.from_iterable(group["params"] for group in state.optimiser.param_groups)
    length = nn.utils.clip_grad_norm_(trained, recipe.gradient_norm_max)
    _check_finite(each.sum(), length, batch)
    state.optimiser.step()
    return dict(zip(losses, each.tolist(), strict=True))


def _check_finite(total: Tensor, length: Tensor, batch: Sequence[Example]) -> None:
    if not torch.isfinite(total + length):
        names = ", ".join(example.name for example in batch)
        raise ConfigurationError(
            f"Training on slices {names}: loss {total.item()}, gradient length {length.item()}, "
            "expected finite numbers."
        )


def _seed(recipe: Recipe, number: int) -> int:
    """Return the seed of one step's sampling of proposals."""
    return int(np.random.SeedSequence([recipe.seed, number]).generate_state(1)[0])


def _schedule(number: int, fraction: float, recipe: Recipe) -> float:
    """Return the share of the peak learning rate: a linear rise under a falling cosine."""
    rise = min(1.0, number / max(1, recipe.warmup_steps))
    return rise * 0.5 * (1 + math.cos(math.pi * fraction))
