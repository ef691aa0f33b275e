# SPDX-License-Identifier: Apache-2.0
"""Count millilitres: lung and lesion burden, and lesions joined across slices into findings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.catalogue import Label
from hilum.findings import LEFT_LUNG, RIGHT_LUNG, Finding, LungBurden, SliceBurden
from hilum.pipelines.slices import Lesions
from hilum.volume import Volume

SMALLEST_FINDING_ML = 0.1
"""Smaller specks are noise of the network: a sphere of six millimetres."""

TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels that share a corner belong together: a lesion often shifts sideways between slices."""


def join_findings(
    volume: Volume, lungs: NDArray[np.uint8], lesions: Lesions, labels: Sequence[Label]
) -> tuple[Finding, ...]:
    """Join the masks of the slices into lesions, by falling volume; specks leave the mask.

    Args:
        volume: the series.
        lungs: mask of both lungs, [z, y, x].
        lesions: masks of the network; changed in place where specks are dropped.
        labels: classes of the mask.
    """
    lung_ml = np.count_nonzero(lungs) * volume.voxel_ml
    found = [
        finding
        for label in labels
        for finding in _findings_of(label, volume, lungs, lesions, lung_ml)
    ]
    found.sort(key=lambda finding: -finding.volume_ml)
    return tuple(replace(finding, number=n) for n, finding in enumerate(found, start=1))


def _findings_of(
    label: Label, volume: Volume, lungs: NDArray[np.uint8], lesions: Lesions, lung_ml: float
) -> list[Finding]:
    parts, count = ndimage.label(lesions.labels == label.value, structure=TOUCHING)
    if count == 0:
        return []
    voxels = np.flatnonzero(parts)
    numbers = parts.ravel()[voxels]
    sizes_ml = np.bincount(numbers, minlength=count + 1) * volume.voxel_ml
    specks = sizes_ml < SMALLEST_FINDING_ML
    _drop(lesions, voxels[specks[numbers]])
    mean_hu = _means(volume.voxels, voxels, numbers, count)
    score = _means(lesions.probability, voxels, numbers, count) / 255
    left = _means(lungs == LEFT_LUNG, voxels, numbers, count)
    return [
        Finding(
            number=0,
            label=label.name,
            lung="left" if left[number] > 0.5 else "right",  # noqa: PLR2004 - where most of it lies
            volume_ml=float(sizes_ml[number]),
            lung_share=float(sizes_ml[number] / lung_ml),
            mean_hu=float(mean_hu[number]),
            first_slice=place[0].start,
            last_slice=place[0].stop - 1,
            box=_box(place),
            score=float(score[number]),
        )
        for number, place in enumerate(ndimage.find_objects(parts), start=1)
        if not specks[number]
    ]


def _means(
    values: NDArray[np.generic],
    voxels: NDArray[np.intp],
    numbers: NDArray[np.signedinteger],
    count: int,
) -> NDArray[np.float64]:
    """Return the mean of `values` over each numbered part; index 0 is unused."""
    weights = values.ravel()[voxels].astype(np.float64)
    sums = np.bincount(numbers, weights, minlength=count + 1)
    counts = np.bincount(numbers, minlength=count + 1)
    result: NDArray[np.float64] = sums / np.maximum(counts, 1)
    return result


def _drop(lesions: Lesions, voxels: NDArray[np.intp]) -> None:
    lesions.labels.ravel()[voxels] = 0
    lesions.probability.ravel()[voxels] = 0


def _box(place: tuple[slice, ...]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    z, y, x = place
    return (z.start, y.start, x.start), (z.stop, y.stop, x.stop)


def measure_burden(
    volume: Volume, lungs: NDArray[np.uint8], lesions: NDArray[np.uint8], labels: Sequence[Label]
) -> tuple[LungBurden, LungBurden, LungBurden]:
    """Return lung and lesion volume of the right lung, the left lung, and both."""
    # One pass over the volume: lung side and lesion class as one number.
    width = max(label.value for label in labels) + 1
    counts = np.bincount((lungs * width + lesions).ravel(), minlength=3 * width)
    table_ml = counts.reshape(3, width) * volume.voxel_ml
    return (
        _burden(table_ml[RIGHT_LUNG], labels),
        _burden(table_ml[LEFT_LUNG], labels),
        _burden(table_ml[RIGHT_LUNG] + table_ml[LEFT_LUNG], labels),
    )


def _burden(row_ml: NDArray[np.float64], labels: Sequence[Label]) -> LungBurden:
    by_label = {label.name: float(row_ml[label.value]) for label in labels}
    return LungBurden(float(row_ml.sum()), sum(by_label.values()), by_label)


def measure_slices(
    volume: Volume, lungs: NDArray[np.uint8], lesions: NDArray[np.uint8]
) -> tuple[SliceBurden, ...]:
    """Return lung and lesion area of every slice, [z]."""
    _, y_mm, x_mm = volume.spacing_mm
    lung_mm2 = np.count_nonzero(lungs, axis=(1, 2)) * y_mm * x_mm
    lesion_mm2 = np.count_nonzero(lesions, axis=(1, 2)) * y_mm * x_mm
    frames = volume.frame_numbers or (1,) * len(volume.instance_uids)
    return tuple(
        SliceBurden(index, uid, float(lung), float(lesion), frame)
        for index, (uid, lung, lesion, frame) in enumerate(
            zip(volume.instance_uids, lung_mm2, lesion_mm2, frames, strict=True)
        )
    )
