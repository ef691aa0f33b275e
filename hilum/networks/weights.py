# SPDX-License-Identifier: Apache-2.0
"""Weights as records: a safetensors file, its card, and the hash that ties the two.

Kernels and matrices are stored as int8 with one scale an output channel, everything else as
float32: a quarter of the size.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hilum.catalogue import CT_LESIONS
from hilum.errors import BrokenWeights, NetworkNotTrained, UnknownNetwork
from hilum.networks.maskrcnn import INPUT_PX, WINDOW_HU, NetworkInfo, Segmenter, build

FOLDER = Path(__file__).parents[1] / "weights"
"""Where the shipped networks lie, each a `.safetensors` with a `.json` card beside it."""

NETWORKS: Mapping[str, str] = MappingProxyType(
    {"resnet50": "maskrcnn-resnet50", "resnet101": "maskrcnn-resnet101"}
)
"""File stem of each network, by the name that jobs and settings use."""

SCALE = ".scale"
"""Suffix of the tensor [out] that turns an int8 tensor [out, ...] into its values."""


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of one weights file.

    Attributes:
        name: file stem.
        version: of the weights.
        backbone: one of `hilum.networks.maskrcnn.BACKBONES`.
        sha256: of the file, hexadecimal.
        window_hu: Hounsfield units that became 0 and 1 in the images it saw.
        input_px: longer side of the image inside the network.
        operating_point: probability from which a pixel counts as lesion, 0..1.
        labels: class names, by the number in a label map.
        recipe: what decided the training.
        data: what was learnt from, what was held out, and under which terms.
        metrics: measured on the slices held out.
        intended_use: what it is for.
        limits: what it was not shown or does badly.
    """

    name: str
    version: str
    backbone: str
    sha256: str
    window_hu: tuple[float, float] = WINDOW_HU
    input_px: int = INPUT_PX
    operating_point: float = 0.5
    labels: dict[str, str] = field(
        default_factory=lambda: {str(label.value): label.name for label in CT_LESIONS.labels}
    )
    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    intended_use: str = "Research; not for diagnosis."
    limits: tuple[str, ...] = ()

    @property
    def info(self) -> NetworkInfo:
        """The part that a report remembers."""
        return NetworkInfo(
            name=self.name,
            version=self.version,
            sha256=self.sha256,
            window_hu=self.window_hu,
            input_px=self.input_px,
            operating_point=self.operating_point,
        )


def load(name: str, *, device: str = "auto") -> Segmenter:
    """Load a shipped network by its name in `NETWORKS`.

    Args:
        name: `resnet50` or `resnet101`.
        device: `cpu`, `cuda`, or `auto` for CUDA where there is one.

    Raises:
        UnknownNetwork, NetworkNotTrained: as `find` does.
        BrokenWeights: the file is not the one its card describes.
    """
    return load_path(find(name), device=device)


def find(name: str) -> Path:
    """Return the file of a shipped network, by its name in `NETWORKS`.

    Raises:
        UnknownNetwork: the name is not in the table.
        NetworkNotTrained: the table knows it, but no weights are shipped yet.
    """
    if name not in NETWORKS:
        raise UnknownNetwork(f"Network {name!r}: expected one of {', '.join(NETWORKS)}.")
    path = FOLDER / f"{NETWORKS[name]}.safetensors"
    if not path.exists():
        raise NetworkNotTrained(
            f"Network {name!r} is known but has no weights yet, "
            f"expected one of {', '.join(_trained())}."
        )
    return path


def load_path(path: Path, *, device: str = "auto") -> Segmenter:
    """Load a weights file that has its card beside it."""
    card = read_card(path)
    network = build(card.backbone)
    try:
        network.load_state_dict(read_tensors(path, card))
    except RuntimeError as error:
        raise BrokenWeights(
            f"{path.name}: tensors do not fit a {card.backbone} network, as its card expects."
        ) from error
    return Segmenter(network, card.info, device=device)


def read_card(path: Path) -> Card:
    """Read the card beside a weights file and refuse one for another kind of image."""
    beside = path.with_suffix(".json")
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
        values["window_hu"] = tuple(values["window_hu"])
        values["limits"] = tuple(values["limits"])
        card = Card(**values)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BrokenWeights(f"{beside.name}: no readable card ({error}).") from error
    _check_preprocessing(card)
    return card


def write_card(card: Card, path: Path) -> None:
    """Write a card beside its weights file."""
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def read_tensors(path: Path, card: Card) -> dict[str, Tensor]:
    """Read the float32 tensors of a weights file whose hash is its card's."""
    found = digest(path)
    if found != card.sha256:
        raise BrokenWeights(f"{path.name}: SHA-256 {found}, expected {card.sha256}.")
    try:
        return unpack(load_file(path))
    except SafetensorError as error:
        raise BrokenWeights(f"{path.name}: not a safetensors file ({error}).") from error


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
    """Return the SHA-256 of a file, hexadecimal."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BrokenWeights(f"{path.name}: cannot be read ({error}).") from error


def _trained() -> list[str]:
    return [name for name, stem in NETWORKS.items() if (FOLDER / f"{stem}.safetensors").exists()]


def _check_preprocessing(card: Card) -> None:
    if (card.window_hu, card.input_px) != (WINDOW_HU, INPUT_PX):
        raise BrokenWeights(
            f"{card.name}: trained on window {card.window_hu} HU at {card.input_px} px, "
            f"expected {WINDOW_HU} HU at {INPUT_PX} px."
        )


def _beside(scale: Tensor, value: Tensor) -> Tensor:
    """Shape a scale [out] so that it multiplies a tensor [out, ...]."""
    return scale.reshape(-1, *[1] * (value.ndim - 1))
