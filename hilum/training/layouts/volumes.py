# SPDX-License-Identifier: Apache-2.0
"""From a labelled volume to examples: windowed and cropped as a pipeline does it."""

import numpy as np
from numpy.typing import NDArray

from hilum.networks.maskrcnn import WINDOW_HU
from hilum.pipelines.lungs import find_lungs
from hilum.pipelines.slices import crop, slices_with_lung
from hilum.training.data import Example
from hilum.volume import Volume, apply_window


def cut_slices(name: str, volume: Volume, labels: NDArray[np.uint8]) -> list[Example]:
    """Return the slices of a volume that hold lung, cropped to both lungs.

    The box is that of the whole volume, lesions included, since a pipeline crops so: a network
    then learns from what it will be served.

    Args:
        name: of the volume; each slice adds `_` and its place, from 0 at the feet.
        volume: upright, in Hounsfield units.
        labels: [z, y, x] in the grid of the volume.
    """
    lungs = find_lungs(volume).mask > 0
    filled = lungs | (labels > 0)
    if not filled.any():
        return []
    box = crop(filled, volume)
    ill = np.flatnonzero(np.any(labels, axis=(1, 2)))
    return [
        Example(
            f"{name}_{z:03d}",
            apply_window(volume.voxels[z][box], WINDOW_HU),
            np.ascontiguousarray(labels[z][box]),
        )
        for z in np.union1d(slices_with_lung(lungs, volume), ill)
    ]
