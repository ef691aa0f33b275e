import numpy as np
import pytest
from scipy import ndimage

from hilum.networks.maskrcnn import WINDOW_HU
from hilum.training.data import Example
from hilum.training.paint import CONSOLIDATION, paint_dense_lobes
from hilum.volume import apply_window
from tests.phantoms import chest


@pytest.fixture(scope="session")
def healthy() -> Example:
    """The middle slice of a phantom, cropped to its lungs, with the lesions left unlabelled."""
    phantom = chest()
    middle = len(phantom.voxels) // 2
    rows, columns = ndimage.find_objects((phantom.lungs[middle] > 0).astype(np.uint8))[0]
    image = apply_window(phantom.voxels[middle], WINDOW_HU)[rows, columns]
    return Example("phantom", image.astype(np.float32), np.zeros(image.shape, np.uint8))


def painted(example: Example, seed: int) -> Example:
    return paint_dense_lobes(example, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
def test_a_painted_lobe_is_as_bright_as_tissue_and_called_consolidation(
    healthy: Example, seed: int
) -> None:
    lobe = painted(healthy, seed)

    inside = ndimage.binary_erosion(lobe.labels == CONSOLIDATION, iterations=3)
    assert (lobe.labels == CONSOLIDATION).mean() > 0.01
    assert set(np.unique(lobe.labels)) == {0, CONSOLIDATION}
    assert np.median(lobe.image[inside]) > 0.65
    assert np.median(healthy.image[inside]) < 0.5


@pytest.mark.parametrize("seed", range(8))
def test_what_lies_away_from_the_lobe_stays_as_it_was(healthy: Example, seed: int) -> None:
    lobe = painted(healthy, seed)

    # Bronchi within the lobe are unlabelled, and its border is soft.
    near = ndimage.binary_dilation(lobe.labels == CONSOLIDATION, iterations=14)
    assert not near.all()
    np.testing.assert_allclose(lobe.image[~near], healthy.image[~near], atol=0.02)


def test_the_same_chance_paints_the_same_lobe(healthy: Example) -> None:
    first, second, other = painted(healthy, 1), painted(healthy, 1), painted(healthy, 2)

    np.testing.assert_array_equal(first.image, second.image)
    assert (first.labels != other.labels).any()


def test_a_picture_without_lungs_stays_as_it_is() -> None:
    tissue = Example("below", np.full((80, 100), 0.85, np.float32), np.zeros((80, 100), np.uint8))

    assert painted(tissue, 0) is tissue


def test_air_outside_the_chest_is_no_lung() -> None:
    image = np.full((120, 120), 0.85, np.float32)
    image[:40, :40] = 0.0
    corner = Example("corner", image, np.zeros(image.shape, np.uint8))

    assert painted(corner, 0) is corner
