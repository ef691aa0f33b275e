from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hilum.networks.maskrcnn import LesionRCNN, build
from hilum.training.data import Example


@pytest.fixture
def blob() -> Callable[..., Example]:
    """Makes a dark slice with one bright lesion of a class."""

    def make(name: str = "a", *, shape: tuple[int, int] = (48, 64), label: int = 1) -> Example:
        labels = np.zeros(shape, np.uint8)
        height, width = shape
        labels[height // 4 : height // 2, width // 4 : width // 2] = label
        image = np.where(labels > 0, 0.8, 0.2).astype(np.float32)
        return Example(name, image, labels)

    return make


@pytest.fixture
def network() -> LesionRCNN:
    """An untrained network whose residual branches start quiet, so that few steps suffice."""
    torch.manual_seed(1)
    network = build("resnet50")
    for block in network.backbone.body.modules():
        if hasattr(block, "bn3"):
            block.bn3.weight.fill_(0.2)
    return network


@pytest.fixture
def write_slices() -> Callable[..., Path]:
    """Writes slices with a lesion, or without, as images/ and masks/."""

    def write(folder: Path, names: str | list[str], *, label: int = 1) -> Path:
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for name in names:
            mask = np.zeros((40, 48), np.uint8)
            mask[10:20, 10:30] = label
            Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
            Image.fromarray(mask * 60 + 50).save(folder / "images" / f"{name}.png")
        return folder

    return write
