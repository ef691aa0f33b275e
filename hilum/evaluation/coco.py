# SPDX-License-Identifier: Apache-2.0
"""Lesions in the form of COCO, measured by faster-coco-eval."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation.instances import Instances
from hilum.research import need

COCO = "faster_coco_eval"
"""The package, of the extra `research`; commands ask for it before networks look for hours."""

LESIONS_MAX = 100
"""Lesions of a slice that count, the best first, as COCO has it."""


def precision(found: Sequence[Instances], truth: Sequence[Instances]) -> NDArray[np.float64]:
    """Return the average precision [10] of slices where 50, 55, … 95 % must overlap.

    Args:
        found: of each slice.
        truth: of each slice, in the same order; at least one lesion in all.
    """
    package = need(COCO)
    results = _annotations(found)
    if not results:
        return np.zeros(10)
    known = package.COCO(
        {
            "images": [_image(number, one) for number, one in enumerate(truth, start=1)],
            "categories": [{"id": 1}],
            "annotations": _annotations(truth),
        }
    )
    judge = package.COCOeval_faster(known, known.loadRes(results), "segm", rle_iou_max_workers=1)
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    judge.params.maxDets = [LESIONS_MAX]
    judge.evaluate()
    judge.accumulate()
    # [overlap, recall, class, area, most lesions]
    averages: NDArray[np.float64] = judge.eval["precision"].mean(axis=(1, 2, 3, 4))
    return averages


def overlaps(found: Instances, truth: Instances) -> NDArray[np.float64]:
    """Return the share of the union that is common, for each pair: [found, truth], 0..1."""
    if not len(found) or not len(truth):
        return np.zeros((len(found), len(truth)))
    shares: NDArray[np.float64] = need(COCO).mask.iou(
        _encode(found), _encode(truth), [0] * len(truth)
    )
    return shares


def _annotations(slices: Sequence[Instances]) -> list[dict[str, Any]]:
    rows = [
        {"image_id": number, "segmentation": code, "score": float(score), "area": float(area)}
        for number, lesions in enumerate(slices, start=1)
        for code, score, area in zip(
            _encode(lesions), lesions.scores, lesions.masks.sum(axis=(1, 2)), strict=True
        )
    ]
    same = {"category_id": 1, "iscrowd": 0, "bbox": [0, 0, 0, 0]}
    return [row | same | {"id": number} for number, row in enumerate(rows, start=1)]


def _image(number: int, lesions: Instances) -> dict[str, int]:
    _, height, width = lesions.masks.shape
    return {"id": number, "height": height, "width": width}


def _encode(lesions: Instances) -> list[Any]:
    """Pack masks into run lengths."""
    if not len(lesions):
        return []
    # [h, w, n], columns first, as COCO reads pictures.
    stack = np.asfortranarray(lesions.masks.transpose(1, 2, 0).astype(np.uint8))
    codes: list[Any] = need(COCO).mask.encode(stack)
    return codes
