# SPDX-License-Identifier: Apache-2.0
"""Figures of merit for masks, and how far they can be trusted."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

RESAMPLES = 2000
"""Bootstrap draws: the ends of a 95 % interval then rest on 50 draws each."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Pixels on which a mask and the truth agree and differ."""

    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def f1(self) -> float:
        """Dice's coefficient, 0..1; 1 where both masks are empty."""
        total = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / total if total else 1.0

    @property
    def precision(self) -> float:
        """Share of found pixels that are true, 0..1; 1 where nothing was found."""
        found = self.true_positives + self.false_positives
        return self.true_positives / found if found else 1.0

    @property
    def recall(self) -> float:
        """Share of true pixels that were found, 0..1; 1 where there are none."""
        true = self.true_positives + self.false_negatives
        return self.true_positives / true if true else 1.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % bootstrap interval over volumes."""

    value: float
    low: float
    high: float


def compare(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Counts:
    """Count the pixels of two masks of one shape."""
    return Counts(
        true_positives=int(np.count_nonzero(found & truth)),
        false_positives=int(np.count_nonzero(found & ~truth)),
        false_negatives=int(np.count_nonzero(~found & truth)),
    )


def pool(counts: Iterable[Counts]) -> Counts:
    """Add up the pixels of many slices, so that each pixel weighs the same."""
    listed = list(counts)
    return Counts(
        true_positives=sum(one.true_positives for one in listed),
        false_positives=sum(one.false_positives for one in listed),
        false_negatives=sum(one.false_negatives for one in listed),
    )


def bootstrap(
    items: Sequence[Item],
    statistic: Callable[[Sequence[Item]], float],
    groups: Sequence[str] = (),
    *,
    seed: int = 0,
) -> Interval:
    """Give a statistic of slices with its interval when volumes are drawn anew, with replacement.

    Slices of one volume resemble each other, so they are drawn together.

    Args:
        items: of slices.
        statistic: of such items.
        groups: the volume of each item; without them each item stands alone.
        seed: of the draws.

    Source: Efron 1979, percentile method; Field, Welsh 2007, doi 10.1111/j.1467-9868.2007.00593.x,
    for groups.
    """
    return bootstrap_each(items, lambda drawn: [statistic(drawn)], groups, seed=seed)[0]


def bootstrap_each(
    items: Sequence[Item],
    statistics: Callable[[Sequence[Item]], Sequence[float]],
    groups: Sequence[str] = (),
    *,
    seed: int = 0,
) -> list[Interval]:
    """Give several statistics of slices, each with its interval, from the same draws.

    A draw for which a statistic is not a number, since it drew no slice that has any, is left out.
    """
    rng = np.random.default_rng(seed)
    gathered = list(gather(items, groups).values()) if groups else [[item] for item in items]
    draws = rng.integers(0, len(gathered), (RESAMPLES, len(gathered)))
    values = np.array(
        [statistics([item for index in draw for item in gathered[index]]) for draw in draws]
    )
    low, high = np.nanpercentile(values, [2.5, 97.5], axis=0)
    return [
        Interval(float(value), float(below), float(above))
        for value, below, above in zip(statistics(items), low, high, strict=True)
    ]


def gather(items: Iterable[Item], groups: Iterable[str]) -> dict[str, list[Item]]:
    """Return the items of each group, in order of first appearance."""
    gathered: dict[str, list[Item]] = {}
    for item, group in zip(items, groups, strict=True):
        gathered.setdefault(group, []).append(item)
    return gathered


def mean(values: Sequence[float]) -> float:
    """Return the mean of figures of slices."""
    return float(np.mean(values))
