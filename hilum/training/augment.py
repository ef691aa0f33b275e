# SPDX-License-Identifier: Apache-2.0
"""Variations of one example: what another patient, table or window would have shown."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from torch.nn import functional

from hilum.networks.maskrcnn import fit
from hilum.training.data import Example


@dataclass(frozen=True, slots=True)
class Variation:
    """How far an example may be moved; each value is drawn evenly from -limit to +limit.

    Attributes:
        rotation_deg: about the middle of the crop.
        log_scale: natural logarithm of the size, the same on both axes.
        log_aspect: natural logarithm of width over height, relative to the original.
        shift: share of half the crop's side, 0..1: the grid runs from -1 to 1.
        log_window: natural logarithm of the window's width.
        brightness: shift of the gray levels, 0..1.
        log_gamma: natural logarithm of the exponent.
        noise: standard deviation of white noise, drawn from 0 to this, 0..1.
        flip: mirror left and right half of the time.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    rotation_deg: float = 15.0
    log_scale: float = 0.2
    log_aspect: float = 0.12
    shift: float = 0.05
    log_window: float = 0.22
    brightness: float = 0.08
    log_gamma: float = 0.25
    noise: float = 0.02
    flip: bool = True


FLIPPED = 0.5
"""Share of examples that are mirrored, 0..1: left and right lung are as likely ill."""

STILL = Variation(0, 0, 0, 0, 0, 0, 0, 0, flip=False)
"""No variation: only the resize."""


def vary(
    example: Example, variation: Variation, *, side_px: int, rng: np.random.Generator
) -> Example:
    """Resize an example to a longer side of `side_px` and move it within its limits.

    Args:
        example: a lung crop of any size.
        variation: the limits.
        side_px: longer side of the result; its aspect is the crop's.
        rng: the only source of chance.
    """
    shape = fit(example.image.shape, side_px)
    grid = _grid(example.image.shape, shape, variation, rng)
    image = _sample(example.image, grid, mode="bilinear", fill=_edge(example.image))
    labels = _sample(example.labels.astype(np.float32), grid, mode="nearest", fill=0.0)
    return Example(example.name, _recolour(image, variation, rng), labels.astype(np.uint8))


def _grid(
    source: tuple[int, ...],
    target: tuple[int, int],
    variation: Variation,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Say where each target pixel is read: [1, h, w, 2] of (x, y) in -1..1 over the source."""
    angle = np.deg2rad(_draw(variation.rotation_deg, rng))
    scale = np.exp(_draw(variation.log_scale, rng))
    stretch = np.exp(_draw(variation.log_aspect, rng) / 2)
    mirror = -1.0 if variation.flip and rng.random() < FLIPPED else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # A rotation is one of pixels, so -1..1 is first made isotropic by the sides of the source.
    sides = np.diag([source[1], source[0]]).astype(float)
    move = np.linalg.inv(sides) @ turn @ sides @ np.diag([mirror / stretch, stretch]) / scale
    shift = [_draw(variation.shift, rng), _draw(variation.shift, rng)]
    theta = torch.tensor(np.column_stack([move, shift]), dtype=torch.float32)
    return functional.affine_grid(theta[None], [1, 1, *target], align_corners=False)


def _sample(
    picture: NDArray[np.float32], grid: torch.Tensor, *, mode: str, fill: float
) -> NDArray[np.float32]:
    tensor = torch.from_numpy(np.ascontiguousarray(picture - fill))[None, None]
    moved = functional.grid_sample(tensor, grid, mode=mode, align_corners=False)
    return moved[0, 0].numpy() + np.float32(fill)


def _edge(image: NDArray[np.float32]) -> float:
    """Return the gray level to continue a crop with: black would look like air."""
    return float(np.median(np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])))


def _recolour(
    image: NDArray[np.float32], variation: Variation, rng: np.random.Generator
) -> NDArray[np.float32]:
    gamma = np.exp(_draw(variation.log_gamma, rng))
    contrast = np.exp(_draw(variation.log_window, rng))
    brightness = _draw(variation.brightness, rng)
    noise = rng.normal(0, 1, image.shape) * rng.uniform(0, variation.noise)
    moved = (np.clip(image, 0, 1) ** gamma - 0.5) * contrast + 0.5 + brightness + noise
    recoloured: NDArray[np.float32] = np.clip(moved, 0, 1).astype(np.float32)
    return recoloured


def _draw(limit: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(-limit, limit))
