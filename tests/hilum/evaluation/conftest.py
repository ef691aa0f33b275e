from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hilum.evaluation.evaluate import Look
from hilum.training.data import Example
from tests.hilum.evaluation.boxes import detections
from tests.hilum.evaluation.runs import make_runs


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last run and two fold runs of the recipe `tiny`; never write to it."""
    return make_runs(tmp_path_factory.mktemp("runs"), "tiny")


@pytest.fixture
def seen() -> Callable[..., Look]:
    """Makes a look at a slice: a lesion of class `label`, seen with a certainty, and a halo.

    The slice is 20 x 20, the lesion in columns 0-9 of rows 0-9, the halo, falsely seen, in columns
    10-14 of the same rows. One box, as certain, holds the lesion.
    """

    def make(name: str = "a", *, label: int = 1, certainty: float = 0.8, halo: float = 0.0) -> Look:
        labels = np.zeros((20, 20), np.uint8)
        labels[:10, :10] = label
        halves = np.zeros((2, 20, 20), np.float16)
        halves[max(label, 1) - 1, :10, :10] = certainty
        halves[max(label, 1) - 1, :10, 10:15] = halo
        example = Example(name, np.zeros((20, 20), np.float32), labels)
        box = detections([(0, 0, 10, 10)], [certainty], [max(label, 1)])
        return Look(example, halves, 0.1, box)

    return make
