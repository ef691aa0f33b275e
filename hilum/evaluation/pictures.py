# SPDX-License-Identifier: Apache-2.0
"""Pictures of what a network saw: the truth outlined, the lesions found tinted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.evaluation.evaluate import Look, judge
from hilum.networks.detections import label_map
from hilum.networks.maskrcnn import WINDOW_HU
from hilum.render import overlay


def write_pictures(looks: Sequence[Look], folder: Path, *, threshold: float) -> list[Path]:
    """Write one PNG a slice, the worst first by name: rank, Dice, then the slice's name."""
    folder.mkdir(parents=True, exist_ok=True)
    ranked = sorted(looks, key=lambda seen: judge(seen, threshold).lesions.f1)
    written = []
    for rank, seen in enumerate(ranked):
        dice = judge(seen, threshold).lesions.f1
        path = folder / f"{rank:03d}-dice-{dice:.2f}-{seen.example.name}.png"
        Image.fromarray(picture(seen, threshold=threshold)).save(path)
        written.append(path)
    return written


def picture(seen: Look, *, threshold: float) -> NDArray[np.uint8]:
    """Draw the bare slice beside the same slice with its masks: [h, 2 w, 3], sRGB."""
    low, high = WINDOW_HU
    hu = np.rint(seen.example.image * (high - low) + low).astype(np.int16)
    none = np.zeros_like(seen.example.labels)
    truth = (seen.example.labels > 0).astype(np.uint8)
    found = label_map(seen.probabilities, threshold=threshold)
    return np.hstack([overlay(hu, none, none), overlay(hu, truth, found)])
