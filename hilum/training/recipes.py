# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that decides a training run, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hilum.networks.maskrcnn import INPUT_PX
from hilum.training.augment import Variation

HELD_OUT = frozenset({"002", "003", "012", "024", "025", "028", "035", "042", "054", "057", "067"})
"""Labelled slices never learnt from. The set has no patient ids, but some slices are visibly
neighbours (003, 012, 028; 025, 042, 057; 035, 067): such groups stay whole on this side."""

CONTROLS_HELD_OUT = 20
"""Control slices never learnt from: the last by name, each of another patient."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to train one network.

    Attributes:
        name: what `hilum train` calls it.
        backbone: one of `hilum.networks.maskrcnn.BACKBONES`.
        steps: optimiser steps.
        batch: slices a step.
        side_px: longer side of a slice.
        learning_rate: peak of AdamW's, for the new layers.
        backbone_rate: the backbone's learning rate as a share of the peak, 0..1.
        weight_decay: AdamW's, on matrices and kernels alone.
        warmup_steps: linear rise to the peak; a cosine to zero follows.
        control_share: share of slices drawn from the controls, 0..1.
        ema_decay: of the averaged weights, the ones that are kept.
        gradient_norm_max: longer gradients are cut to this length.
        seed: of order, variation and sampling.
        variation: limits of the augmentation.
        held_out: names of labelled slices kept aside.
        controls_held_out: the last so many control slices kept aside.
    """

    name: str
    backbone: str
    steps: int = 2000
    batch: int = 4
    side_px: int = INPUT_PX
    learning_rate: float = 3e-4
    backbone_rate: float = 0.5
    weight_decay: float = 0.02
    warmup_steps: int = 60
    control_share: float = 1 / 6
    ema_decay: float = 0.995
    gradient_norm_max: float = 5.0
    seed: int = 20261121
    variation: Variation = field(default_factory=Variation)
    held_out: frozenset[str] = HELD_OUT
    controls_held_out: int = CONTROLS_HELD_OUT


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {recipe.name: recipe for recipe in (Recipe("resnet50", "resnet50"),)}
)
"""The recipes this repository ships, by name."""
