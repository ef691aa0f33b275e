# SPDX-License-Identifier: Apache-2.0
"""AP50 of merged lesions by how a network's map is taken apart into lesions, out of fold.

Radiologists paint one opacity in one stroke or in many, and AP50 counts strokes. Each row is one
answer to it; `large alone` leaves pieces under `LARGE_PX` out of truth and finding alike, and says
how much of the rest is owed to specks.

    python -m benchmarks.with_data.pieces resnet50 --data labelled --runs runs
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.machine import describe_machine
from hilum.evaluation.evaluate import Look
from hilum.evaluation.instances import Instances, found_instances, true_instances
from hilum.evaluation.operating_point import choose_threshold
from hilum.evaluation.out_of_fold import all_looks, look_out_of_fold
from hilum.evaluation.precision import average_precision
from hilum.networks.detections import merged
from hilum.training.data import LESION_AREA_MIN_PX
from hilum.training.layouts import read_examples

LARGE_PX = 256
"""Area of a piece that a reader would not overlook in a slice of 384 px."""

CLOSING_PX = 3
"""Gaps up to twice this wide are bridged."""

CORE = 0.5
"""A watershed's seeds lie deeper in a piece than this share of its greatest depth."""

Reading = Callable[[Look, float], Instances]


def measure(recipe: str, data: Path, runs: Path) -> dict[str, Any]:
    looks = all_looks(look_out_of_fold(runs, recipe, read_examples(data)))
    threshold = choose_threshold(looks)
    truth = [true_instances(seen.example.labels, None) for seen in looks]
    areas = np.concatenate([one.masks.sum(axis=(1, 2)) for one in truth])
    rows = {
        name: figure([read(seen, threshold) for seen in looks], truth)
        for name, read in READINGS.items()
    }
    pieces = [read_map(seen, threshold) for seen in looks]
    rows["large alone"] = figure([large(one) for one in pieces], [large(one) for one in truth])
    return {
        "machine": describe_machine(),
        "recipe": recipe,
        "operating_point": threshold,
        "slices": len(looks),
        "true_lesions": len(areas),
        "true_lesions_under_256_px": int((areas < LARGE_PX).sum()),
        "found_lesions": sum(map(len, pieces)),
        "ap50": rows,
    }


def figure(found: list[Instances], truth: list[Instances]) -> float:
    precision = average_precision(found, truth)
    return round(precision.ap50.value, 3) if precision else float("nan")


def read_map(seen: Look, threshold: float) -> Instances:
    return found_instances(seen.detections, seen.probabilities, None, threshold=threshold)


def read_boxes(seen: Look, threshold: float) -> Instances:
    return found_instances(
        seen.detections, seen.probabilities, None, threshold=threshold, reading="boxes"
    )


def scored_by_area(seen: Look, threshold: float) -> Instances:
    """Put the largest piece first: it is the likeliest to be a stroke of its own."""
    pieces = read_map(seen, threshold)
    areas = pieces.masks.sum(axis=(1, 2))
    return (
        Instances(pieces.masks, (areas / pieces.masks[0].size).astype(np.float32))
        if len(pieces)
        else pieces
    )


def closed(seen: Look, threshold: float) -> Instances:
    """Bridge narrow gaps, as a broad brush does."""
    lesion = merged(seen.probabilities) >= threshold
    disc = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), CLOSING_PX)
    pieces, count = ndimage.label(ndimage.binary_closing(lesion, disc))
    return scored(pieces * lesion, count, seen)


def watershed(seen: Look, threshold: float) -> Instances:
    """Part pieces at their waists."""
    lesion = merged(seen.probabilities) >= threshold
    depth = ndimage.distance_transform_edt(lesion)
    pieces, count = ndimage.label(lesion)
    deepest = np.concatenate([[np.inf], ndimage.maximum(depth, pieces, range(1, count + 1))])
    seeds, seeded = ndimage.label(depth > CORE * deepest[pieces])
    relief = (255 * (1 - depth / max(1.0, depth.max()))).astype(np.uint8)
    # Sound tissue is a seed of its own, or the basins would flood it.
    basins = ndimage.watershed_ift(relief, np.where(lesion, seeds, -1).astype(np.int32))
    return scored(np.where(lesion, np.maximum(basins, 0), 0), seeded, seen)


def scored(pieces: NDArray[Any], count: int, seen: Look) -> Instances:
    """Score numbered pieces as cards do: by their mean probability."""
    certain = merged(seen.probabilities)
    masks = [pieces == number for number in range(1, count + 1)]
    masks = [mask for mask in masks if mask.sum() >= LESION_AREA_MIN_PX]
    scores = np.array([certain[mask].mean() for mask in masks], np.float32)
    return Instances(np.stack(masks) if masks else np.zeros((0, *certain.shape), bool), scores)


def large(one: Instances) -> Instances:
    kept = one.masks.sum(axis=(1, 2)) >= LARGE_PX
    return Instances(one.masks[kept], one.scores[kept])


READINGS: dict[str, Reading] = {
    "pieces of the map, as on cards": read_map,
    "pieces, the largest first": scored_by_area,
    "pieces after a closing": closed,
    "pieces parted by a watershed": watershed,
    "boxes": read_boxes,
}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    print(json.dumps(measure(**vars(parser.parse_args())), indent=2))
