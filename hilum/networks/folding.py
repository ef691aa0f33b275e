# SPDX-License-Identifier: Apache-2.0
"""A trained network made quick to run: norms folded into kernels, heavy parts in bfloat16."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.models.detection import MaskRCNN
from torchvision.ops import FrozenBatchNorm2d


def fold_norms(body: nn.Module) -> None:
    """Multiply every frozen batch norm of a residual network into the convolution before it.

    The answers stay the same; a third of the passes over the feature maps goes.
    """
    for parent, convolution, norm in list(_pairs(body)):
        _fold(getattr(parent, convolution), getattr(parent, norm))
        setattr(parent, norm, nn.Identity())


def lower(network: MaskRCNN, dtype: torch.dtype) -> None:
    """Run a network's convolutions and matrices in `dtype`, everything between in float32.

    Anchors, boxes, suppression and sampling keep float32: their pixels need the digits.
    """
    heads = network.roi_heads
    network.backbone = Lowered(network.backbone, dtype)
    network.rpn.head = Lowered(network.rpn.head, dtype)
    network.dense_head = Lowered(network.dense_head, dtype)
    for name in ("box_head", "box_predictor", "mask_head", "mask_predictor"):
        setattr(heads, name, Lowered(getattr(heads, name), dtype))


class Lowered(nn.Module):
    """A module of lower precision that takes and returns float32."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        """Convert the inner module's weights once, so that no call pays for it."""
        super().__init__()
        self.inner = inner.to(dtype).to(memory_format=torch.channels_last)
        self.dtype = dtype

    def forward(self, given: Any) -> Any:
        """Call the inner module in its own precision."""
        return cast(self.inner(cast(given, self.dtype)), torch.float32)


def cast(value: Any, dtype: torch.dtype) -> Any:
    """Convert every tensor of a nested list, tuple or dictionary."""
    if isinstance(value, Tensor):
        return value.to(dtype)
    if isinstance(value, dict):
        return {key: cast(item, dtype) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(cast(item, dtype) for item in value)
    return value


def _pairs(body: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Yield each module that holds a convolution and its norm, with the names of the two."""
    for module in body.modules():
        names = dict(module.named_children())
        for norm in [name for name, child in names.items() if isinstance(child, FrozenBatchNorm2d)]:
            # torchvision calls them conv1 and bn1, or 0 and 1 in a shortcut.
            before = "0" if norm == "1" else norm.replace("bn", "conv")
            yield module, before, norm


def _fold(convolution: nn.Conv2d, norm: FrozenBatchNorm2d) -> None:
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
