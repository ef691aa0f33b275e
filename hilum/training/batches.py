# SPDX-License-Identifier: Apache-2.0
"""Batches: examples drawn, varied, and put in the form torchvision's detectors take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import masks_to_boxes

from hilum.training.augment import STILL, vary
from hilum.training.data import Example, components
from hilum.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Examples:
    """Slices with lesions and slices without."""

    lesions: Sequence[Example]
    controls: Sequence[Example]


def draw_batches(examples: Examples, recipe: Recipe, *, made: int = 0) -> Iterator[list[Example]]:
    """Draw varied batches for ever: each slice once a round, controls strewn in between.

    Batch n is a function of examples, recipe and n alone, so a run that was cut short goes on with
    the batches it would have had, and no state needs to be kept.

    Args:
        examples: to draw from.
        recipe: says how many, how varied, and from which seed.
        made: batches that an earlier part of the run has used up.
    """
    for number, drawn in enumerate(islice(_draw(examples, recipe), made, None), start=made + 1):
        rng = np.random.default_rng([recipe.seed, number])
        yield [vary(one, recipe.variation, side_px=recipe.side_px, rng=rng) for one in drawn]


def still(examples: Sequence[Example], recipe: Recipe) -> list[Example]:
    """Resize examples to the recipe's size and leave them otherwise as they are."""
    rng = np.random.default_rng(recipe.seed)
    return [vary(one, STILL, side_px=recipe.side_px, rng=rng) for one in examples]


def images(batch: Sequence[Example], device: torch.device) -> list[Tensor]:
    """Return each image as [3, h, w], the same three times."""
    return [torch.from_numpy(one.image).to(device).expand(3, -1, -1) for one in batch]


def targets(batch: Sequence[Example], device: torch.device) -> list[dict[str, Tensor]]:
    """Return each truth as boxes [n, 4], labels [n], masks [n, h, w] and classes [h, w]."""
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


def _draw(examples: Examples, recipe: Recipe) -> Iterator[list[Example]]:
    """Draw batches of slices as they are: cheap enough to draw again up to any step."""
    rng = np.random.default_rng(recipe.seed)
    lesions, controls = _rounds(examples.lesions, rng), _rounds(examples.controls, rng)
    share = recipe.control_share if examples.controls else 0.0
    while True:
        yield [next(controls if rng.random() < share else lesions) for _ in range(recipe.batch)]


def _rounds(examples: Sequence[Example], rng: np.random.Generator) -> Iterator[Example]:
    while examples:
        for index in rng.permutation(len(examples)):
            yield examples[index]
