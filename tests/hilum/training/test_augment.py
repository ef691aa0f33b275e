from collections.abc import Callable

import numpy as np
import pytest

from hilum.training.augment import STILL, Variation, vary
from hilum.training.data import Example


def test_without_variation_a_slice_is_only_resized(blob: Callable[..., Example]) -> None:
    varied = vary(blob(), STILL, side_px=128, rng=np.random.default_rng(0))

    assert varied.image.shape == (96, 128)
    assert varied.labels[24:48, 32:64].all()
    assert varied.labels.sum() == 24 * 32
    assert varied.image[36, 48] == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(6))
def test_labels_move_with_the_image(blob: Callable[..., Example], seed: int) -> None:
    moved = Variation(log_window=0, brightness=0, log_gamma=0, noise=0)

    varied = vary(blob(shape=(200, 300)), moved, side_px=300, rng=np.random.default_rng(seed))

    bright, labelled = varied.image > 0.5, varied.labels > 0
    assert (bright & labelled).sum() / (bright | labelled).sum() > 0.97


def test_a_shift_is_a_share_of_half_the_side(blob: Callable[..., Example]) -> None:
    shifted = Variation(0, 0, 0, 0.5, 0, 0, 0, 0, flip=False)
    rng = np.random.default_rng(0)
    original = blob(shape=(200, 200))

    moved = [vary(original, shifted, side_px=200, rng=rng).labels for _ in range(100)]

    starts = [int(np.flatnonzero(labels.any(axis=0))[0]) for labels in moved]
    assert 45 <= max(abs(start - 50) for start in starts) <= 50


def test_what_a_turn_uncovers_continues_the_edge_and_holds_no_lesion() -> None:
    whole = Example("a", np.full((64, 64), 0.86, np.float32), np.ones((64, 64), np.uint8))
    turned = Variation(45, 0, 0, 0, 0, 0, 0, 0, flip=False)

    varied = vary(whole, turned, side_px=64, rng=np.random.default_rng(1))

    assert varied.image.min() == pytest.approx(0.86, abs=1e-5)
    assert varied.labels[0, 0] == 0


def test_the_same_seed_gives_the_same_slice(blob: Callable[..., Example]) -> None:
    one, other = (
        vary(blob(), Variation(), side_px=64, rng=np.random.default_rng(9)) for _ in range(2)
    )

    np.testing.assert_array_equal(one.image, other.image)


def test_gray_levels_stay_within_the_window(blob: Callable[..., Example]) -> None:
    harsh = Variation(log_window=2, brightness=0.5, log_gamma=1, noise=0.5)

    varied = vary(blob(), harsh, side_px=64, rng=np.random.default_rng(2))

    assert varied.image.dtype == np.float32
    assert 0 <= varied.image.min() < varied.image.max() <= 1
