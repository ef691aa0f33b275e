from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from hilum.findings import RIGHT_LUNG
from hilum.phantom import Phantom
from hilum.training.data import Example
from hilum.training.layouts.volumes import cut_slices
from tests.phantoms import healthy


@dataclass(frozen=True)
class Marked:
    """A healthy chest with a lesion drawn in front in the right lung, and what it should become.

    Attributes:
        phantom: the chest.
        labels: uint8 [z, y, x]: class 2 on three slices, class 1 on one of them beside it.
        examples: its slices, from the arrays themselves.
    """

    phantom: Phantom
    labels: NDArray[np.uint8]
    examples: list[Example]

    def by_slice(self) -> dict[str, Example]:
        """The expected examples by the last part of their names."""
        return {one.name.rpartition("_")[2]: one for one in self.examples}


@pytest.fixture(scope="session")
def marked() -> Marked:
    phantom = healthy()
    labels = np.zeros(phantom.lungs.shape, np.uint8)
    middle = len(labels) // 2
    rows, columns = np.nonzero(phantom.lungs[middle] == RIGHT_LUNG)
    top = rows.min() + 8
    left = int(np.median(columns[rows == top]))
    labels[middle - 1 : middle + 2, top : top + 6, left : left + 6] = 2
    labels[middle, top + 8 : top + 12, left : left + 6] = 1
    return Marked(phantom, labels, cut_slices("v", phantom.volume, labels))


def assert_same(found: list[Example], marked: Marked, *, tolerance: float = 1e-6) -> None:
    """Compare slices with what the marked chest should become."""
    expected = marked.by_slice()
    assert [one.name.rpartition("_")[2] for one in found] == sorted(expected)
    for one in found:
        other = expected[one.name.rpartition("_")[2]]
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_allclose(one.image, other.image, atol=tolerance)
