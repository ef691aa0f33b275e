# SPDX-License-Identifier: Apache-2.0
"""Pictures of what a network saw: the truth outlined, the lesions found tinted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.evaluation.evaluate import Look, judge, judge_control
from hilum.networks.maskrcnn import WINDOW_HU
from hilum.render import overlay

CASES = 3
"""Slices drawn of each kind: the worst, those in the middle, the best."""


def write_pictures(
    lesions: Sequence[Look], controls: Sequence[Look], folder: Path, *, threshold: float
) -> list[Path]:
    """Write one PNG for each of the worst, median and best slices and the worst controls.

    Names begin with the kind, then the rank among all slices, 0 the worst, and the Dice or, of a
    control, the lesion share of its lungs; a control without lung is not drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dice = sorted(((judge(seen, threshold).lesions.f1, seen) for seen in lesions), key=_figure)
    served = [(judge_control(seen, threshold), seen) for seen in controls]
    shares = sorted(((-one.share, seen) for one, seen in served if one is not None), key=_figure)
    named = {
        f"{kind}-{rank:03d}-dice-{dice[rank][0]:.2f}": dice[rank][1]
        for kind, ranks in _cases(len(dice)).items()
        for rank in ranks
    }
    named |= {
        f"control-{rank:03d}-share-{-share:.4f}": seen
        for rank, (share, seen) in enumerate(shares[:CASES])
    }
    return [_write(seen, folder, name, threshold) for name, seen in named.items()]


def picture(seen: Look, *, threshold: float) -> NDArray[np.uint8]:
    """Draw the bare slice beside the same slice with its masks: [h, 2 w, 3], sRGB."""
    low, high = WINDOW_HU
    hu = np.rint(seen.example.image * (high - low) + low).astype(np.int16)
    none = np.zeros_like(seen.example.labels)
    truth = (seen.example.labels > 0).astype(np.uint8)
    found = seen.found(threshold)
    return np.hstack([overlay(hu, none, none), overlay(hu, truth, found)])


def _cases(count: int) -> Mapping[str, Sequence[int]]:
    """Choose ranks of each kind, no rank twice."""
    every = range(count)
    if count <= 3 * CASES:
        return {"slice": every}
    middle = (count - CASES) // 2
    return {
        "worst": every[:CASES],
        "median": every[middle : middle + CASES],
        "best": every[-CASES:],
    }


def _write(seen: Look, folder: Path, name: str, threshold: float) -> Path:
    path = folder / f"{name}-{seen.example.name}.png"
    Image.fromarray(picture(seen, threshold=threshold)).save(path)
    return path


def _figure(ranked: tuple[float, Look]) -> float:
    return ranked[0]
