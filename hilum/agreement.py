# SPDX-License-Identifier: Apache-2.0
"""How far readers and Hilum agree, beyond what chance alone would have them agree.

Pure arithmetic on counts, so that the web server needs no library of statistics for it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NORMAL_QUANTILE: Final = 1.959964
"""Standard deviations that hold 95 % of a normal distribution on both sides of its mean."""

Table = Mapping[tuple[str, str], int]
"""How often one said the first word of a pair, and the other the second."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure of some pairs, and how far it can be trusted.

    Attributes:
        value: the figure.
        low, high: ends of its 95 % confidence interval; None where so few pairs tell of none.
        n: pairs that it rests on.
    """

    value: float
    low: float | None
    high: float | None
    n: int


def share(hits: int, n: int) -> Estimate | None:
    """Return a share, 0..1, with its interval; None of nothing.

    Source: Wilson 1927, J Am Stat Assoc 22(158), 209-212: its interval stays within 0..1, and has a
    width where all of few agree.
    """
    if n == 0:
        return None
    value, square = hits / n, NORMAL_QUANTILE**2
    middle = (value + square / (2 * n)) / (1 + square / n)
    half = NORMAL_QUANTILE * math.sqrt(value * (1 - value) / n + square / (4 * n**2))
    half /= 1 + square / n
    return Estimate(value, max(0.0, middle - half), min(1.0, middle + half), n)


def kappa(table: Table) -> Estimate | None:
    """Return Cohen's kappa, at most 1, with its interval.

    None where there are no pairs, or where both always said the same one word: then chance alone
    has them agree. Without an interval where nothing differed: the error is then estimated as none,
    which few pairs do not bear out.

    Each pair counts by itself, so the interval is somewhat too narrow where several readers judged
    the same report.

    Source: Cohen 1960, doi 10.1177/001316446002000104; the error by Fleiss, Cohen, Everitt 1969,
    doi 10.1037/h0028106.
    """
    n = sum(table.values())
    if n == 0:
        return None
    shares = {pair: count / n for pair, count in table.items()}
    ours, theirs = _margin(shares, 0), _margin(shares, 1)
    observed = sum(part for (one, other), part in shares.items() if one == other)
    by_chance = sum(part * theirs.get(word, 0.0) for word, part in ours.items())
    if math.isclose(by_chance, 1.0):
        return None
    value = (observed - by_chance) / (1 - by_chance)
    half = NORMAL_QUANTILE * math.sqrt(_variance(shares, observed, by_chance) / n)
    if math.isclose(half, 0.0, abs_tol=1e-9):
        return Estimate(value, None, None, n)
    return Estimate(value, max(-1.0, value - half), min(1.0, value + half), n)


def _margin(shares: Mapping[tuple[str, str], float], side: int) -> dict[str, float]:
    margin: dict[str, float] = {}
    for pair, part in shares.items():
        margin[pair[side]] = margin.get(pair[side], 0.0) + part
    return margin


def _variance(shares: Mapping[tuple[str, str], float], observed: float, by_chance: float) -> float:
    """Return the variance of kappa, of one pair."""
    ours, theirs = _margin(shares, 0), _margin(shares, 1)
    total = 0.0
    for (one, other), part in shares.items():
        if one == other:
            weight = (1 - by_chance) - (ours[one] + theirs[one]) * (1 - observed)
        else:
            weight = (1 - observed) * (theirs.get(one, 0.0) + ours.get(other, 0.0))
        total += part * weight**2
    total -= (observed * by_chance - 2 * by_chance + observed) ** 2
    # Rounding may leave a little less than nothing.
    return max(0.0, total) / (1 - by_chance) ** 4
