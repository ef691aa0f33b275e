# SPDX-License-Identifier: Apache-2.0
"""Where to cut a lesion map."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation.evaluate import Look, judge, volumes
from hilum.evaluation.metrics import Interval, bootstrap, mean

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 18))
"""Operating points to choose from, 0..1."""

DICE_GIVEN_UP = 0.005
"""Mean Dice, 0..1, given up for a higher operating point: its curve is flat near the top, while
what is falsely found in healthy lungs keeps falling."""


def choose_threshold(lesions: Sequence[Look]) -> float:
    """Return the highest operating point whose mean Dice is within `DICE_GIVEN_UP` of the best."""
    return _highest_good(_dice_table(lesions))


def cross_fitted_dice(lesions: Sequence[Look]) -> Interval:
    """Give the mean Dice when each slice is cut where all other volumes would have it.

    The operating point of `choose_threshold` has seen the slices it is reported on; this figure
    has not. At least two volumes are needed.
    """
    table = _dice_table(lesions)
    groups = volumes(lesions)
    dice = []
    for index, group in enumerate(groups):
        threshold = _highest_good(table[:, [other != group for other in groups]])
        dice.append(float(table[THRESHOLDS.index(threshold), index]))
    return bootstrap(dice, mean, groups)


def _dice_table(looks: Sequence[Look]) -> NDArray[np.float64]:
    """Return the Dice of all lesions, [threshold, slice]."""
    rows = [[judge(seen, threshold).lesions.f1 for seen in looks] for threshold in THRESHOLDS]
    return np.array(rows)


def _highest_good(table: NDArray[np.float64]) -> float:
    """Choose from the Dice of [threshold, slice]."""
    dice = table.mean(axis=1)
    good = np.flatnonzero(dice >= dice.max() - DICE_GIVEN_UP)
    return THRESHOLDS[int(good[-1])]
