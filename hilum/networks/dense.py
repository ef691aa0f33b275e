# SPDX-License-Identifier: Apache-2.0
"""The branch that paints a whole slice at once, beside the branches that look into boxes.

A box draws its lesion on 28 cells, coarse for one that fills half a lung, and a lesion without a
box is not drawn at all. This branch has neither limit, and learns from every pixel of a slice.

Source: Kirillov, Girshick, He, Dollar 2019, "Panoptic Feature Pyramid Networks", arXiv 1901.02446.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = ("0", "1", "2", "3")
"""Levels of the pyramid that are read, finest first."""

WIDTH = 64
"""Channels inside the branch."""

GROUPS = 8
"""Groups of a group norm: unlike batch norm it does not mind batches of four."""

IGNORED = -1
"""Label of a pixel that teaches nothing: padding."""

LOSS_SMOOTHING_PX = 50.0
"""Added to both sides of a soft Dice, so that a slice of few lesion pixels does not drown others."""


class DenseHead(nn.Module):
    """Reads a feature pyramid and scores every second pixel for every class."""

    def __init__(self, channels: int, classes: int) -> None:
        """Lay out the branch.

        Args:
            channels: of each level of the pyramid.
            classes: background included.
        """
        super().__init__()
        self.levels = nn.ModuleList([_convolution(channels, WIDTH) for _ in LEVELS])
        self.join = _convolution(WIDTH, WIDTH)
        self.finer = nn.ConvTranspose2d(WIDTH, WIDTH // 2, kernel_size=2, stride=2)
        self.scores = nn.Conv2d(WIDTH // 2, classes, kernel_size=1)

    def forward(self, pyramid: Mapping[str, Tensor]) -> Tensor:
        """Return scores before softmax.

        Args:
            pyramid: levels [n, channels, h / s, w / s] with strides s of 4, 8, 16, 32.

        Returns:
            [n, classes, h / 2, w / 2].
        """
        finest = pyramid[LEVELS[0]]
        joined = self.levels[0](finest)
        for name, convolution in zip(LEVELS[1:], list(self.levels)[1:], strict=True):
            level = convolution(pyramid[name])
            joined = joined + functional.interpolate(level, finest.shape[-2:], mode="bilinear")
        scores: Tensor = self.scores(functional.relu(self.finer(self.join(joined))))
        return scores


def probabilities(scores: Tensor, shape: tuple[int, int]) -> Tensor:
    """Turn scores [n, classes, h / 2, w / 2] into probabilities [n, classes - 1, h, w] of lesion."""
    fine = functional.interpolate(scores.float(), shape, mode="bilinear")
    return fine.softmax(1)[:, 1:]


def dense_losses(scores: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Compare scores with the truth.

    Args:
        scores: [n, classes, h / 2, w / 2].
        labels: [n, h, w], classes or `IGNORED`.

    Returns:
        `loss_dense`: cross entropy. `loss_dice`: one less the soft Dice of all lesions, mean over
        slices that hold any, and half as much for each class over the whole batch.
    """
    fine = functional.interpolate(scores.float(), labels.shape[-2:], mode="bilinear")
    counts = (labels != IGNORED)[:, None]
    found = fine.softmax(1)[:, 1:] * counts
    classes = torch.arange(1, fine.shape[1], device=labels.device)
    truth = (labels[:, None] == classes[:, None, None]).float()
    ill = truth.flatten(1).any(1)
    lesions = _soft_dice(found.sum(1)[ill], truth.sum(1)[ill], (1, 2))
    each = _soft_dice(found, truth, (0, 2, 3))
    # The mean of no slices is not a number.
    whole = (1 - lesions).sum() / ill.sum().clamp(min=1)
    return {
        "loss_dense": functional.cross_entropy(fine, labels, ignore_index=IGNORED),
        "loss_dice": whole + 0.5 * (1 - each).mean(),
    }


def _soft_dice(found: Tensor, truth: Tensor, axes: tuple[int, ...]) -> Tensor:
    both = (found * truth).sum(axes)
    return (2 * both + LOSS_SMOOTHING_PX) / (found.sum(axes) + truth.sum(axes) + LOSS_SMOOTHING_PX)


def _convolution(given: int, made: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, kernel_size=3, padding=1, bias=False),
        nn.GroupNorm(GROUPS, made),
        nn.ReLU(inplace=True),
    )
