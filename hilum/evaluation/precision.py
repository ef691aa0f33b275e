# SPDX-License-Identifier: Apache-2.0
"""Average precision of lesions over slices, as COCO defines it, with intervals.

faster-coco-eval gives the figures. It cannot hold a slice twice, as a bootstrap draw does, so
lesions are matched once a slice here, and a draw only adds up what was matched.

Source: Lin et al. 2014, arXiv 1405.0312; https://cocodataset.org/#detection-eval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation import coco
from hilum.evaluation.instances import Instances
from hilum.evaluation.metrics import Interval, bootstrap_each

OVERLAPS = np.linspace(0.5, 0.95, 10)
"""Shares of overlap from which a lesion counts as found; 0.5 and 0.75 stand alone, too."""

RECALLS = np.linspace(0, 1, 101)
"""Where precision is read and averaged."""


@dataclass(frozen=True, slots=True)
class Precision:
    """Average precision of masks, 0..1.

    Attributes:
        ap: mean over `OVERLAPS`.
        ap50: where half the union must overlap.
        ap75: where three quarters must.
    """

    ap: Interval
    ap50: Interval
    ap75: Interval


@dataclass(frozen=True, slots=True)
class Match:
    """What became of the lesions found in one slice, best first.

    Attributes:
        scores: [n].
        hits: [overlap, n], whether each is a true lesion that no better one had taken.
        truths: how many lesions there are.
    """

    scores: NDArray[np.float32]
    hits: NDArray[np.bool_]
    truths: int


def average_precision(
    found: Sequence[Instances], truth: Sequence[Instances], groups: Sequence[str] = ()
) -> Precision | None:
    """Judge the lesions found in slices; None where there is no lesion to find.

    Args:
        found: of each slice.
        truth: of each slice, in the same order.
        groups: the volume of each slice; see `hilum.evaluation.metrics.bootstrap`.
    """
    if not any(len(lesions) for lesions in truth):
        return None
    matches = [match(*pair) for pair in zip(found, truth, strict=True)]
    figures = coco.precision(found, truth)
    drawn = bootstrap_each(matches, lambda slices: _figures(precisions(slices)), groups)
    return Precision(
        *(
            Interval(figure, interval.low, interval.high)
            for figure, interval in zip(_figures(figures), drawn, strict=True)
        )
    )


def match(found: Instances, truth: Instances) -> Match:
    """Give each lesion found, best first, the free true lesion that it overlaps most."""
    order = np.argsort(-found.scores, kind="stable")[: coco.LESIONS_MAX]
    overlaps = coco.overlaps(Instances(found.masks[order], found.scores[order]), truth)
    hits = np.array([_taken(overlaps, enough) for enough in OVERLAPS], bool)
    return Match(found.scores[order], hits.reshape(len(OVERLAPS), len(order)), len(truth))


def precisions(matches: Sequence[Match]) -> NDArray[np.float64]:
    """Return the average precision of slices at each of `OVERLAPS`; not a number without truth."""
    truths = sum(one.truths for one in matches)
    if not truths:
        return np.full(len(OVERLAPS), np.nan)
    order = np.argsort(-np.concatenate([one.scores for one in matches]), kind="stable")
    hits = np.concatenate([one.hits for one in matches], axis=1)[:, order]
    true = np.cumsum(hits, axis=1)
    precision = true / np.arange(1, len(order) + 1)
    # Precision at a recall is the best that any larger recall has.
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.pad(best, ((0, 0), (0, 1)))
    places = [np.searchsorted(recall, RECALLS) for recall in true / truths]
    return np.array([row[place].mean() for row, place in zip(best, places, strict=True)])


def _taken(overlaps: NDArray[np.float64], enough: float) -> list[bool]:
    free = np.ones(overlaps.shape[1], bool)
    hits = []
    for row in overlaps:
        candidates = np.where(free, row, 0.0)
        hit = bool((candidates >= enough).any())
        if hit:
            free[candidates.argmax()] = False
        hits.append(hit)
    return hits


def _figures(averages: NDArray[np.float64]) -> list[float]:
    """Return AP, AP50 and AP75 from the average precision at each of `OVERLAPS`."""
    return [float(averages.mean()), float(averages[0]), float(averages[5])]
