# SPDX-License-Identifier: Apache-2.0
"""How well a network in training does on slices it does not learn from."""

import copy
from collections.abc import Sequence

import numpy as np

from hilum.cards import PROPOSALS, NetworkInfo
from hilum.networks.detections import lesion_map, merged
from hilum.networks.maskrcnn import INPUT_PX, WINDOW_HU, LesionRCNN, Segmenter
from hilum.training.data import Example

CUT = 0.4
"""Probability from which a pixel counts as lesion, 0..1. The operating point is chosen after
training; a curve needs only one that stays where it is."""

IN_TRAINING = NetworkInfo("in-training", "0", "", WINDOW_HU, INPUT_PX, PROPOSALS, CUT)


def mean_dice(network: LesionRCNN, examples: Sequence[Example], *, device: str) -> float:
    """Return the mean Dice of all lesions over slices, 0..1, as the network would be served.

    Args:
        network: left as it is; a copy is made ready to run.
        examples: at least one, each with a lesion.
        device: where to run.
    """
    segmenter = Segmenter(copy.deepcopy(network), IN_TRAINING, device=device)
    return float(np.mean([_dice(segmenter, example) for example in examples]))


def _dice(segmenter: Segmenter, example: Example) -> float:
    height, width = example.image.shape
    seen = lesion_map(segmenter.predict(example.image[None])[0], (height, width))
    found, truth = merged(seen) >= CUT, example.labels > 0
    return 2 * int((found & truth).sum()) / (int(found.sum()) + int(truth.sum()))
