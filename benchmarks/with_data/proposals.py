# SPDX-License-Identifier: Apache-2.0
"""Dice and seconds by the number of proposals that the heads look into, out of fold.

Each number has its own operating point, chosen as a release chooses it: fewer proposals cast fewer
votes on the same lesion.

    python -m benchmarks.with_data.proposals resnet50 --data labelled --runs runs
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from hilum.cards import MAX_PROPOSALS
from hilum.evaluation.evaluate import evaluate
from hilum.evaluation.operating_point import choose_threshold, cross_fitted_dice
from hilum.evaluation.out_of_fold import all_looks, look_out_of_fold
from hilum.evaluation.trained import load_packed
from hilum.networks.maskrcnn import Segmenter
from hilum.training.layouts import read_examples

NUMBERS = (MAX_PROPOSALS, 50, 25, 16, 8)


def measure(recipe: str, data: Path, runs: Path) -> dict[str, Any]:
    examples = read_examples(data)
    rows = []
    for number in NUMBERS:
        looks = all_looks(look_out_of_fold(runs, recipe, examples, load=capped(number)))
        threshold = choose_threshold(looks)
        result = evaluate(looks, (), threshold)
        rows.append(
            {
                "proposals": number,
                "operating_point": threshold,
                "dice": round(result.dice.value, 4),
                "dice_cross_fitted": round(cross_fitted_dice(looks).value, 4),
                "f1": round(result.f1.value, 4),
                "seconds_per_slice": round(result.seconds_per_slice.value, 4),
            }
        )
    return {"machine": describe_machine(), "recipe": recipe, "slices": len(looks), "rows": rows}


def capped(number: int) -> Callable[[Path], Segmenter]:
    def load(weights: Path) -> Segmenter:
        segmenter = load_packed(weights)
        segmenter.info = replace(segmenter.info, proposals=number)
        return segmenter

    return load


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
