import numpy as np
import pytest

from hilum.evaluation.agreement import agreement, lung_of_crop, share_difference


def test_bias_and_limits_of_a_hand_worked_example() -> None:
    result = agreement([0.01, 0.03, -0.01, 0.05])

    assert result is not None
    # Differences 1, 3, -1, 5 points: mean 2, squares about it 1 + 1 + 9 + 9 over 3.
    spread = 1.96 * (20 / 3) ** 0.5
    assert result.bias.value == pytest.approx(2)
    assert result.lower.value == pytest.approx(2 - spread)
    assert result.upper.value == pytest.approx(2 + spread)
    assert result.error.value == pytest.approx(2.5)
    assert result.bias.low < 2 < result.bias.high


def test_limits_hold_95_percent_of_normal_differences() -> None:
    differences = np.random.default_rng(0).normal(0.02, 0.03, 2000)

    result = agreement(differences.tolist())

    assert result is not None
    inside = (100 * differences > result.lower.value) & (100 * differences < result.upper.value)
    assert inside.mean() == pytest.approx(0.95, abs=0.01)


def test_one_slice_has_no_limits() -> None:
    assert agreement([0.1]) is None


def test_consolidation_in_the_truth_is_lung_and_a_thin_vessel_too() -> None:
    image = np.full((60, 60), 0.9, np.float32)
    image[:, :40] = 0.1  # Air that three edges of the crop cut.
    image[20:40, :40] = 0.9  # Consolidated.
    image[50:52, 10:30] = 0.9  # A vessel.
    truth = np.zeros((60, 60), bool)
    truth[20:40, :40] = True
    found = np.zeros_like(truth)
    found[20:30, :40] = True

    lung = lung_of_crop(image)

    assert lung[51, 20]
    assert not lung[:, 45:].any()
    assert share_difference(image, found, truth) == pytest.approx(-400 / 2400, rel=0.02)


def test_what_is_found_outside_the_lung_counts() -> None:
    image = np.full((40, 40), 0.9, np.float32)
    image[:, :20] = 0.1
    nothing = np.zeros((40, 40), bool)
    outside = nothing.copy()
    outside[:, 30:] = True

    assert share_difference(image, outside, nothing) == pytest.approx(0.5)
