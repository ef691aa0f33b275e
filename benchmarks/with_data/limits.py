# SPDX-License-Identifier: Apache-2.0
"""What keeps the Dice of unseen slices down: the networks, their operating point, or the labels.

Two networks that err alike, and agree with one another more than with the truth, have learnt what
the labels teach; a mean of both and the best threshold for each slice say what is left to gain.

    python -m benchmarks.with_data.limits --data labelled --runs runs
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe_machine
from hilum.evaluation.evaluate import Look, judge
from hilum.evaluation.metrics import bootstrap, compare, mean
from hilum.evaluation.operating_point import THRESHOLDS, choose_threshold
from hilum.evaluation.out_of_fold import all_looks, look_out_of_fold
from hilum.training.layouts import read_examples

RECIPES = ("resnet50", "resnet101")


def measure(data: Path, runs: Path) -> dict[str, Any]:
    examples = read_examples(data)
    one, other = (all_looks(look_out_of_fold(runs, recipe, examples)) for recipe in RECIPES)
    thresholds = [choose_threshold(looks) for looks in (one, other)]
    dice = [by_slice(*pair) for pair in zip((one, other), thresholds, strict=True)]
    both = [mixed(*pair) for pair in zip(one, other, strict=True)]
    between = [
        compare(a.found(thresholds[0]) > 0, b.found(thresholds[1]) > 0).f1
        for a, b in zip(one, other, strict=True)
    ]
    return {
        "machine": describe_machine(),
        "slices": len(one),
        "dice_with_truth": dict(zip(RECIPES, map(interval, dice), strict=True)),
        "dice_between_networks": interval(between),
        "correlation_of_dice_by_slice": round(float(np.corrcoef(*dice)[0, 1]), 3),
        "dice_of_their_mean": interval(by_slice(both, choose_threshold(both))),
        "dice_at_the_best_threshold_of_each_slice": {
            recipe: interval(
                [max(judge(seen, cut).lesions.f1 for cut in THRESHOLDS) for seen in looks]
            )
            for recipe, looks in zip(RECIPES, (one, other), strict=True)
        },
    }


def by_slice(looks: Sequence[Look], threshold: float) -> list[float]:
    return [judge(seen, threshold).lesions.f1 for seen in looks]


def mixed(one: Look, other: Look) -> Look:
    halves = (one.probabilities + other.probabilities) / 2
    return replace(one, halves=halves.astype(np.float16))


def interval(values: Sequence[float]) -> list[float]:
    found = bootstrap(list(values), mean)
    return [round(figure, 3) for figure in (found.value, found.low, found.high)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
