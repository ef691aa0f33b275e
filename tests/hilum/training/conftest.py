from collections.abc import Callable

import numpy as np
import pytest

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
