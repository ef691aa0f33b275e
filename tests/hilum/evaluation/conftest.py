from collections.abc import Callable

import numpy as np
import pytest

from hilum.evaluation.evaluate import Look
from hilum.training.data import Example


@pytest.fixture
def seen() -> Callable[..., Look]:
    """Makes a look at a slice: a lesion of class `label`, seen with a certainty, and a halo.

    The slice is 20 x 20 with lung in its upper half, the lesion in columns 0-9 of rows 0-9, the
    halo, falsely seen, in columns 10-14 of the same rows.
    """

    def make(name: str = "a", *, label: int = 1, certainty: float = 0.8, halo: float = 0.0) -> Look:
        labels = np.zeros((20, 20), np.uint8)
        labels[:10, :10] = label
        probabilities = np.zeros((2, 20, 20), np.float32)
        probabilities[max(label, 1) - 1, :10, :10] = certainty
        probabilities[max(label, 1) - 1, :10, 10:15] = halo
        lung = np.zeros((20, 20), bool)
        lung[:10] = True
        return Look(Example(name, np.zeros((20, 20), np.float32), labels), probabilities, lung, 0.1)

    return make
