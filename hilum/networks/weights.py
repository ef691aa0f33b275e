# SPDX-License-Identifier: Apache-2.0
"""Weights as records: a safetensors file, its card, and the hash that ties the two.

Kernels and matrices are stored as int8 with one scale an output channel, everything else as
float32: a quarter of the size. The card itself is `hilum.cards`, which needs no torch.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hilum.cards import Card, read_card, write_card
from hilum.catalogue import CT_LESIONS
from hilum.errors import BrokenWeights
from hilum.networks.maskrcnn import INPUT_PX, Segmenter, build
from hilum.registry import SHIPPED, SHIPPED_ALONE, Registry

__all__ = [
    "FOLDER", "NETWORKS", "Card", "digest", "find", "load", "load_path", "pack", "read_card",
    "read_tensors", "unpack", "verify", "write_card", "write_tensors",
]  # fmt: skip

FOLDER: Final = SHIPPED
"""Where the shipped networks lie, each a `.safetensors` with a `.json` card beside it."""

NETWORKS: Final = CT_LESIONS.networks
"""Names of the shipped networks."""

SCALE = ".scale"
"""Suffix of the tensor [out] that turns an int8 tensor [out, ...] into its values."""

LARGEST_FILE: Final = 512 * 1024 * 1024
"""Bytes; the ResNet101 network as float32 has half of it, and what is larger is something else."""


def load(name: str, *, device: str = "auto", registry: Registry = SHIPPED_ALONE) -> Segmenter:
    """Load a network by its name, or `name@version`.

    Args:
        name: as in the registry.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
        registry: where networks are looked for; the shipped ones where it is not given.

    Raises:
        UnknownNetwork: there is none of this name.
        BrokenWeights: the file is not the one its card describes.
    """
    return load_path(find(name, registry=registry), device=device)


def find(name: str, *, registry: Registry = SHIPPED_ALONE) -> Path:
    """Return the weights file of a network.

    Raises:
        UnknownNetwork: there is none of this name.
    """
    return registry.find(name).path


def load_path(path: Path, *, device: str = "auto") -> Segmenter:
    """Load a weights file that has its card beside it.

    Raises:
        BrokenWeights: card, hash, preprocessing or tensors are not as expected.
    """
    card = read_card(path)
    network = build(card.backbone)
    try:
        network.load_state_dict(read_tensors(path, card))
    except RuntimeError as error:
        raise BrokenWeights(
            f"{path.name}: tensors do not fit a {card.backbone} network, as its card expects."
        ) from error
    return Segmenter(network, card.info, device=device)


def verify(path: Path) -> Card:
    """Load a network, let it look at an empty slice and at one of noise, and return its card.

    Raises:
        BrokenWeights: it is not fit to be used.
    """
    noise = np.random.default_rng(0).random((INPUT_PX, INPUT_PX), np.float32)
    # What is finite for a lack of signal need not be finite for a chest.
    load_path(path, device="cpu").predict(np.stack([np.zeros_like(noise), noise]))
    return read_card(path)


def read_tensors(path: Path, card: Card) -> dict[str, Tensor]:
    """Read the float32 tensors of a weights file whose hash is its card's.

    Raises:
        BrokenWeights: the hash is another, or the file is no safetensors, or holds no numbers.
    """
    found = digest(path)
    if found != card.sha256:
        raise BrokenWeights(f"{path.name}: SHA-256 {found}, expected {card.sha256}.")
    try:
        # Safetensors holds numbers and nothing that could be run, as a pickle could.
        state = unpack(load_file(path))
    except SafetensorError as error:
        raise BrokenWeights(f"{path.name}: not a safetensors file.") from error
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise BrokenWeights(f"{path.name}: {name:.100} holds values that are not finite.")
    return state


def write_tensors(state: Mapping[str, Tensor], path: Path) -> str:
    """Write a network's tensors packed to int8 and return the SHA-256 of the file."""
    save_file(pack(state), path)
    # safetensors writes for the owner alone, but a service reads what another user installed.
    path.chmod(0o644)
    return digest(path)


def pack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Store tensors of two axes and more as int8, with a scale [out] for the first axis."""
    packed: dict[str, Tensor] = {}
    for key, value in state.items():
        if value.ndim <= 1:
            packed[key] = value.float().contiguous()
            continue
        scale = (value.abs().flatten(1).amax(1) / 127).clamp(min=torch.finfo(torch.float32).tiny)
        steps = (value / _beside(scale, value)).round().clamp(-127, 127)
        packed[key], packed[key + SCALE] = steps.to(torch.int8).contiguous(), scale
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return float32 tensors from those of `pack`; tensors that were never packed pass."""
    state: dict[str, Tensor] = {}
    for key, value in packed.items():
        if key + SCALE in packed:
            state[key] = value.float() * _beside(packed[key + SCALE], value)
        elif not key.endswith(SCALE):
            state[key] = value
    return state


def digest(path: Path) -> str:
    """Return the SHA-256 of a weights file, hexadecimal.

    Raises:
        BrokenWeights: it cannot be read, or is too large to be weights.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise BrokenWeights(f"{path.name}: {size} bytes, expected at most {LARGEST_FILE}.")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BrokenWeights(f"{path.name}: cannot be read ({error.strerror}).") from error


def _beside(scale: Tensor, value: Tensor) -> Tensor:
    """Shape a scale [out] so that it multiplies a tensor [out, ...]."""
    # A scale of another length would be spread over memory that no network needs.
    if scale.shape != value.shape[:1]:
        raise BrokenWeights(
            f"A tensor {[*value.shape]} has a scale {[*scale.shape]}, expected {[*value.shape[:1]]}."
        )
    return scale.reshape(-1, *[1] * (value.ndim - 1))
