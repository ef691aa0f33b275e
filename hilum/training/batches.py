# SPDX-License-Identifier: Apache-2.0
"""Batches: examples drawn, varied, and put in the form torchvision's detectors take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import masks_to_boxes

from hilum.training.augment import STILL, vary
from hilum.training.data import Example, components, read_controls, read_labelled, split
from hilum.training.recipes import Recipe

LABELLED = Path("ct-lesions") / "labelled"
CONTROLS = Path("ct-controls")
"""Where a data folder keeps slices with lesions, and slices without."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Slices with lesions and slices without."""

    lesions: Sequence[Example]
    controls: Sequence[Example]


def read_examples(recipe: Recipe, data: Path) -> tuple[Examples, Examples]:
    """Read a data folder: what a recipe learns from, and what it holds out."""
    learnt, judged = split(read_labelled(data / LABELLED), recipe.held_out)
    controls = read_controls(data / CONTROLS)
    cut = max(0, len(controls) - recipe.controls_held_out)
    return Examples(learnt, controls[:cut]), Examples(judged, controls[cut:])


def draw_batches(examples: Examples, recipe: Recipe) -> Iterator[list[Example]]:
    """Draw varied batches for ever: each slice once a round, controls strewn in between."""
    rng = np.random.default_rng(recipe.seed)
    lesions, controls = _rounds(examples.lesions, rng), _rounds(examples.controls, rng)
    share = recipe.control_share if examples.controls else 0.0
    while True:
        drawn = [next(controls if rng.random() < share else lesions) for _ in range(recipe.batch)]
        yield [vary(one, recipe.variation, side_px=recipe.side_px, rng=rng) for one in drawn]


def still(examples: Sequence[Example], recipe: Recipe) -> list[Example]:
    """Resize examples to the recipe's size and leave them otherwise as they are."""
    rng = np.random.default_rng(recipe.seed)
    return [vary(one, STILL, side_px=recipe.side_px, rng=rng) for one in examples]


def images(batch: Sequence[Example], device: torch.device) -> list[Tensor]:
    """Return each image as [3, h, w], the same three times."""
    return [torch.from_numpy(one.image).to(device).expand(3, -1, -1) for one in batch]


def targets(batch: Sequence[Example], device: torch.device) -> list[dict[str, Tensor]]:
    """Return each truth as boxes [n, 4], labels [n] and masks [n, h, w]."""
    return [{key: value.to(device) for key, value in target(one.labels).items()} for one in batch]


def target(labels: NDArray[np.uint8]) -> dict[str, Tensor]:
    """Turn a label map [h, w] into instances; x1 and y1 of their boxes are exclusive."""
    stack, classes = components(labels)
    masks = torch.from_numpy(stack)
    # masks_to_boxes gives the last pixel; a box ends where the next pixel begins.
    boxes = masks_to_boxes(masks) + torch.tensor([0.0, 0.0, 1.0, 1.0])
    return {
        "boxes": boxes,
        "labels": torch.from_numpy(classes),
        "masks": masks,
        "classes": torch.from_numpy(labels.astype(np.int64)),
    }


def _rounds(examples: Sequence[Example], rng: np.random.Generator) -> Iterator[Example]:
    while examples:
        for index in rng.permutation(len(examples)):
            yield examples[index]
