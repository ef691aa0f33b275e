# SPDX-License-Identifier: Apache-2.0
"""Everything a run is at one step: network, average, optimiser, and how far it has come."""

import copy
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hilum.errors import ConfigurationError
from hilum.networks.folding import cast
from hilum.networks.maskrcnn import LesionRCNN
from hilum.training.recipe import Recipe

CHECKPOINT_FORMAT = 1
"""Raised whenever a checkpoint written before could no longer be gone on from."""


class State:
    """A network in training.

    Attributes:
        network: the one that steps.
        average: the moving average of its weights, the one that is kept.
        optimiser: AdamW with its moments.
        number: steps made.
        spent_s: seconds since the run began, pauses between its parts left out.
        stepping_s: the part of it that went into steps.
    """

    def __init__(self, network: LesionRCNN, recipe: Recipe) -> None:
        """Take over a network where it lies; the caller's is changed."""
        self.network = network.train().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network)
        self.optimiser = make_optimiser(self.network, recipe)
        self.number = 0
        self.spent_s = 0.0
        self.stepping_s = 0.0
        _keep_float32_between_parts(self.network)

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return torch.device(next(self.network.parameters()).device)

    def follow(self, decay: float) -> None:
        """Move the average a step towards the network."""
        pairs = zip(self.average.parameters(), self.network.parameters(), strict=True)
        moving = [(kept, current) for kept, current in pairs if current.requires_grad]
        kept, current = (list(tensors) for tensors in zip(*moving, strict=True))
        get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call] # torch gives it no types
            kept, current, None
        )

    def write(self, path: Path, identity: dict[str, Any]) -> None:
        """Write a checkpoint, whole or not at all.

        Args:
            path: the file.
            identity: plain values that say which run this is.
        """
        partial = path.with_name(f"{path.name}.partial")
        torch.save(
            {
                "format": CHECKPOINT_FORMAT,
                "identity": identity,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "number": self.number,
                "spent_s": self.spent_s,
                "stepping_s": self.stepping_s,
            },
            partial,
        )
        partial.replace(path)

    def read(self, path: Path, identity: dict[str, Any]) -> None:
        """Become what a checkpoint holds.

        Raises:
            ConfigurationError: it cannot be read, or is of another run.
        """
        kept = read_checkpoint(path)
        check_identity(path, kept["identity"], identity)
        self.network.load_state_dict(kept["network"])
        self.average.load_state_dict(kept["average"])
        self.optimiser.load_state_dict(kept["optimiser"])
        self.number = kept["number"]
        self.spent_s, self.stepping_s = kept["spent_s"], kept["stepping_s"]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of this format onto the processor."""
    # torch takes any other file for an old format of its own, and fails in ways of its own.
    if not zipfile.is_zipfile(path):
        raise ConfigurationError(f"{path}: not a readable checkpoint, expected a zip archive.")
    try:
        kept: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError) as error:
        raise ConfigurationError(f"{path}: not a readable checkpoint ({error}).") from error
    if kept.get("format") != CHECKPOINT_FORMAT:
        raise ConfigurationError(
            f"{path}: checkpoint of format {kept.get('format')}, expected {CHECKPOINT_FORMAT}."
        )
    return kept


def check_identity(path: Path, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Refuse a checkpoint of another run: going on from it would give neither of the two."""
    different = sorted(key for key in expected if found.get(key) != expected[key])
    if different:
        raise ConfigurationError(
            f"{path}: checkpoint of another run, which differs in {', '.join(different)}; expected "
            "the same. Run as it was run, choose another folder, or begin anew without resuming."
        )


def make_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Make AdamW with a slower backbone, and no decay on biases.

    Each group keeps its peak learning rate as `peak`.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            share = recipe.backbone_rate if name.startswith("backbone.body.") else 1.0
            decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((recipe.learning_rate * share, decay), []).append(parameter)
    # Fused: one pass over all tensors of a group, where each would else be a dozen small calls.
    return torch.optim.AdamW(
        [
            {"params": parameters, "peak": peak, "weight_decay": decay}
            for (peak, decay), parameters in groups.items()
        ],
        lr=recipe.learning_rate,
        fused=True,
    )


def _keep_float32_between_parts(network: LesionRCNN) -> None:
    """Return float32 from every part that autocast runs in bfloat16.

    Anchors take the precision of the features they are laid on, and bfloat16 counts pixels in
    steps of two beyond 256.
    """
    heads = network.roi_heads
    parts = (network.backbone, network.rpn.head, heads.box_predictor, heads.mask_predictor)
    for part in (*parts, network.dense_head):
        part.register_forward_hook(lambda _part, _given, result: cast(result, torch.float32))
