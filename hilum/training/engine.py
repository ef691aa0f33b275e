# SPDX-License-Identifier: Apache-2.0
"""The training loop: from a recipe and a folder of examples to averaged weights."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision.models.detection import MaskRCNN

from hilum.errors import ConfigurationError
from hilum.networks.folding import cast
from hilum.networks.maskrcnn import build, choose_device
from hilum.training.backbone import load_backbone, recalibrate
from hilum.training.batches import Examples, draw_batches, images, read_examples, still, targets
from hilum.training.data import Example
from hilum.training.recipes import Recipe

CHECKPOINT_STEPS = 100
"""Steps between files, so that a run cut short still leaves its averaged weights."""

FROZEN = ("conv1.", "bn1.", "layer1.")
"""Layers of the backbone that stay as they were: edges are the same in every chest."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one optimiser step did.

    Attributes:
        number: from 1.
        fraction: of the schedule done, 0..1.
        losses: torchvision's five, by name.
        rate: learning rate of the new layers.
    """

    number: int
    fraction: float
    losses: dict[str, float]
    rate: float

    @property
    def loss(self) -> float:
        """The sum that was minimised."""
        return sum(self.losses.values())


def train(
    recipe: Recipe,
    *,
    data: Path,
    out: Path,
    weights: Path | None = None,
    minutes: float = math.inf,
    device: str = "auto",
    progress: Callable[[Step], None] = lambda _: None,
) -> Path:
    """Train a network and return the file with its averaged weights.

    Args:
        recipe: what decides the run.
        data: folder with `ct-lesions/labelled` and `ct-controls`.
        out: the safetensors file to write, again every `CHECKPOINT_STEPS` steps.
        weights: float32 safetensors of an earlier run to go on from; the backbone alone if None.
        minutes: shortens the schedule, so that the learning rate reaches zero by then.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
        progress: called after each step.
    """
    examples, _ = read_examples(recipe, data)
    network = start(recipe, examples)
    if weights is not None:
        network.load_state_dict(load_file(weights))
    network.to(choose_device(device))
    for step, average in learn(network, examples, recipe, minutes=minutes):
        progress(step)
        if step.number % CHECKPOINT_STEPS == 0 or step.fraction >= 1:
            write(average, out)
    return out


def start(recipe: Recipe, examples: Examples) -> MaskRCNN:
    """Build the recipe's network on the chest-CT backbone."""
    torch.manual_seed(recipe.seed)
    network = build(recipe.backbone)
    body = network.backbone.body
    load_backbone(body, recipe.backbone)
    slices = images(still(examples.lesions, recipe), torch.device("cpu"))
    padded, _ = network.transform(slices)
    recalibrate(body.layer4, body, padded.tensors)
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(not name.startswith(FROZEN))
    return network


def learn(
    network: MaskRCNN, examples: Examples, recipe: Recipe, *, minutes: float = math.inf
) -> Iterator[tuple[Step, MaskRCNN]]:
    """Yield each step with the averaged network so far.

    Raises:
        ConfigurationError: a loss is not finite, so nothing after it would mean anything.
    """
    torch.manual_seed(recipe.seed)
    network.train().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    _keep_float32_between_parts(network)
    optimiser = _optimiser(network, recipe)
    began = time.monotonic()
    for number, batch in enumerate(draw_batches(examples, recipe), start=1):
        spent = (time.monotonic() - began) / (60 * minutes)
        fraction = min(1.0, max(number / recipe.steps, spent))
        factor = _schedule(number, fraction, recipe)
        losses = _step(network, optimiser, batch, recipe, factor)
        _average(average, network, min(recipe.ema_decay, (1 + number) / (10 + number)))
        yield Step(number, fraction, losses, recipe.learning_rate * factor), average
        if fraction >= 1:
            return


def write(network: nn.Module, path: Path) -> None:
    """Write a network's tensors as float32 safetensors, whole or not at all."""
    partial = path.with_suffix(".partial")
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, partial)
    partial.replace(path)


def _step(
    network: MaskRCNN,
    optimiser: torch.optim.Optimizer,
    batch: Sequence[Example],
    recipe: Recipe,
    factor: float,
) -> dict[str, float]:
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * factor
    device = next(network.parameters()).device
    with torch.autocast(device.type, torch.bfloat16):
        losses = network(images(batch, device), targets(batch, device))
    total = torch.stack(list(losses.values())).sum()
    optimiser.zero_grad()
    torch.autograd.backward(total)
    norm = nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_norm_max)
    if not torch.isfinite(total + norm):
        names = ", ".join(example.name for example in batch)
        raise ConfigurationError(
            f"Training on slices {names}: loss {total.item()}, gradient length {norm.item()}, "
            "expected finite numbers."
        )
    optimiser.step()
    return {name: loss.item() for name, loss in losses.items()}


def _optimiser(network: MaskRCNN, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with a slower backbone, and no decay on biases."""
    groups = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            share = recipe.backbone_rate if name.startswith("backbone.body.") else 1.0
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            peak = recipe.learning_rate * share
            groups.append({"params": [parameter], "peak": peak, "weight_decay": decay})
    return torch.optim.AdamW(groups, lr=recipe.learning_rate)


def _schedule(number: int, fraction: float, recipe: Recipe) -> float:
    """Return the share of the peak learning rate: a linear rise under a falling cosine."""
    rise = min(1.0, number / max(1, recipe.warmup_steps))
    return rise * 0.5 * (1 + math.cos(math.pi * fraction))


def _keep_float32_between_parts(network: MaskRCNN) -> None:
    """Return float32 from every part that autocast runs in bfloat16.

    Anchors take the precision of the features they are laid on, and bfloat16 counts pixels in
    steps of two beyond 256.
    """
    heads = network.roi_heads
    parts = (network.backbone, network.rpn.head, heads.box_predictor, heads.mask_predictor)
    for part in (*parts, network.dense_head):
        part.register_forward_hook(lambda _part, _given, result: cast(result, torch.float32))


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    for kept, current in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(current, 1 - decay)
