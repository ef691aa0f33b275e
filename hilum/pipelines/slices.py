# SPDX-License-Identifier: Apache-2.0
"""Hand the slices that hold lung to a network, and bring its masks back into the volume."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.jobs import Progress, Stage
from hilum.networks.detections import Detections, label_map, lesion_map, merged
from hilum.networks.maskrcnn import Segmenter
from hilum.volume import Volume, apply_window

MARGIN_MM = 6.0
"""Rim around the lungs that the network sees, as in the slices it was trained on."""

SMALLEST_LUNG_MM2 = 60.0
"""A slice with less lung than this is not worth a look."""


@dataclass(frozen=True, slots=True)
class Lesions:
    """What the network found, in the volume's grid.

    Attributes:
        labels: uint8 [z, y, x]: 0 none, otherwise a label value of the catalogue card.
        probability: uint8 [z, y, x]: of any lesion, 255 is certain; 0 where labels is 0.
    """

    labels: NDArray[np.uint8]
    probability: NDArray[np.uint8]


def find_lesions(
    volume: Volume, lungs: NDArray[np.uint8], segmenter: Segmenter, progress: Progress
) -> Lesions:
    """Run the network over every slice that holds lung.

    Args:
        volume: the series.
        lungs: mask of both lungs, [z, y, x].
        segmenter: a loaded network.
        progress: told after each batch; it may raise to stop.

    Raises:
        GpuMemory: not even one slice fits into the device's memory.
    """
    found = Lesions(np.zeros_like(lungs), np.zeros_like(lungs))
    chosen = slices_with_lung(lungs, volume)
    if not len(chosen):
        return found
    rows, columns = crop(lungs, volume)
    with segmenter.one_study():
        for batch in _batches(chosen, segmenter, progress):
            images = apply_window(volume.voxels[batch, rows, columns], segmenter.info.window_hu)
            for z, detections in zip(batch, segmenter.predict(images), strict=True):
                inside = lungs[z, rows, columns] > 0
                labels, probability = _vote(detections, inside, segmenter.info.operating_point)
                found.labels[z, rows, columns] = labels
                found.probability[z, rows, columns] = probability
    return found


def _batches(
    chosen: NDArray[np.intp], segmenter: Segmenter, progress: Progress
) -> Iterator[NDArray[np.intp]]:
    """Yield what one forward pass takes: as many as a chip wants, few enough to stop soon."""
    done = 0
    while done < len(chosen):
        progress(Stage.SLICES, done, len(chosen))
        # Asked anew each time: a pass that met too little memory makes those after it smaller.
        batch = chosen[done : done + segmenter.batch]
        yield batch
        done += len(batch)
    progress(Stage.SLICES, len(chosen), len(chosen))


def slices_with_lung(lungs: NDArray[np.generic], volume: Volume) -> NDArray[np.intp]:
    """Return the places of the slices, [z], that hold enough lung for a look."""
    _, y_mm, x_mm = volume.spacing_mm
    areas_mm2 = np.count_nonzero(lungs, axis=(1, 2)) * y_mm * x_mm
    return np.flatnonzero(areas_mm2 >= SMALLEST_LUNG_MM2)


def crop(filled: NDArray[np.generic], volume: Volume) -> tuple[slice, slice]:
    """Return the rows and columns of a mask over all slices: one shape for every batch."""
    return (
        _span(np.any(filled, axis=(0, 2)), MARGIN_MM / volume.spacing_mm[1]),
        _span(np.any(filled, axis=(0, 1)), MARGIN_MM / volume.spacing_mm[2]),
    )


def _span(filled: NDArray[np.bool_], margin: float) -> slice:
    places = np.flatnonzero(filled)
    return slice(max(0, places[0] - round(margin)), places[-1] + round(margin) + 1)


def _vote(
    detections: Detections, inside: NDArray[np.bool_], threshold: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return labels and probability [h, w] of one slice, kept inside the lung."""
    votes = lesion_map(detections, inside.shape)
    labels = np.where(inside, label_map(votes, threshold=threshold), 0).astype(np.uint8)
    probability = np.where(labels > 0, np.rint(merged(votes) * 255), 0).astype(np.uint8)
    return labels, probability
