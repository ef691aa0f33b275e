# SPDX-License-Identifier: Apache-2.0
"""How far a lesion share that was found lies from the true one.

A share needs a lung to be a share of. In a lung crop of 8 bits, of any window, there is no other
than what the picture shows: air, closed over vessels, with the true lesions, since consolidation is
not air. The same lung stands under both shares, so their difference is the lesions' alone.

The pipeline's lung step, which controls are held to, needs Hounsfield units: in three of the fifty
labelled slices it finds no lung at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.evaluation.metrics import Interval, bootstrap_each
from hilum.networks.maskrcnn import WINDOW_HU
from hilum.training.data import LUNG_BELOW_HU

VESSEL_PX = 5
"""Half the width of the vessels that count as lung."""

NORMAL_QUANTILE = 1.96
"""Standard deviations that hold 95 % of a normal distribution on both sides of its mean."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Found share less true share, in percent points of lung, over slices.

    Attributes:
        bias: mean difference.
        lower: 95 % limit of agreement below.
        upper: 95 % limit of agreement above.
        error: mean size of the difference, whatever its sign.

    Source: Bland, Altman 1986, Lancet 327(8476), 307-310.
    """

    bias: Interval
    lower: Interval
    upper: Interval
    error: Interval


def agreement(differences: Sequence[float], groups: Sequence[str] = ()) -> Agreement | None:
    """Sum up differences of shares [slice], found less true, 0..1; None for less than two.

    Args:
        differences: of each slice.
        groups: the volume of each slice; see `hilum.evaluation.metrics.bootstrap`.
    """
    if len(differences) <= 1:
        return None
    return Agreement(*bootstrap_each([100 * one for one in differences], _figures, groups))


def share_difference(
    image: NDArray[np.float32], found: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> float:
    """Return the found share of the lung of one crop less the true one.

    Args:
        image: [h, w], 0..1 over `WINDOW_HU`.
        found: [h, w]; what lies outside the lung counts, too.
        truth: [h, w].
    """
    lung = lung_of_crop(image) | truth
    return (int(found.sum()) - int(truth.sum())) / max(1, int(lung.sum()))


def lung_of_crop(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Mark air and the vessels in it, in a picture [h, w] whose edges may cut the lungs."""
    low, high = WINDOW_HU
    air = image < (LUNG_BELOW_HU - low) / (high - low)
    # Closing wears away what touches the edge, and a crop's lungs do.
    framed = np.pad(air, VESSEL_PX + 1)
    closed = ndimage.binary_closing(framed, iterations=VESSEL_PX)
    inside = slice(VESSEL_PX + 1, -VESSEL_PX - 1)
    lung: NDArray[np.bool_] = ndimage.binary_fill_holes(closed)[inside, inside]
    return lung


def _figures(differences: Sequence[float]) -> list[float]:
    bias = float(np.mean(differences))
    spread = NORMAL_QUANTILE * float(np.std(differences, ddof=1))
    return [bias, bias - spread, bias + spread, float(np.mean(np.abs(differences)))]
