"""Classic slices rewritten as enhanced multi-frame CT (PS3.3 A.38)."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, EnhancedCTImageStorage, generate_uid

from tests.phantoms import pixels

GROUPS = {
    "PixelMeasuresSequence": {"PixelSpacing": "PixelSpacing", "SliceThickness": "SliceThickness"},
    "PlaneOrientationSequence": {"ImageOrientationPatient": "ImageOrientationPatient"},
    "PlanePositionSequence": {"ImagePositionPatient": "ImagePositionPatient"},
    "PixelValueTransformationSequence": {
        "RescaleSlope": "RescaleSlope",
        "RescaleIntercept": "RescaleIntercept",
        "RescaleType": "RescaleType",
    },
    "CTImageFrameTypeSequence": {"FrameType": "ImageType"},
    "CTReconstructionSequence": {"ConvolutionKernel": "ConvolutionKernel"},
}
"""Functional groups: what each says, and where a classic slice says it."""

OF_A_SLICE = {
    *(keyword for group in GROUPS.values() for keyword in group.values()),
    "SliceLocation",
    "WindowCenter",
    "WindowWidth",
    "PixelData",
}


def enhanced(
    datasets: Sequence[Dataset], *, sop_class: UID = EnhancedCTImageStorage, shared: bool = True
) -> Dataset:
    """Return slices as one instance whose frames have their order.

    Args:
        datasets: uncompressed, of one series.
        sop_class: what kind of object it becomes.
        shared: say once what all slices say alike, else say it with each frame.
    """
    whole = deepcopy(datasets[0])
    for keyword in OF_A_SLICE - {"ImageType"}:
        if keyword in whole:
            delattr(whole, keyword)
    whole.ImageType = [*datasets[0].ImageType[:3], "NONE"]
    whole.SOPClassUID = whole.file_meta.MediaStorageSOPClassUID = sop_class
    whole.SOPInstanceUID = whole.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    whole.InstanceNumber = 1
    whole.NumberOfFrames = len(datasets)
    frames = [_groups(dataset) for dataset in datasets]
    alike = {
        keyword
        for keyword in frames[0]
        if all(one[keyword] == frames[0][keyword] for one in frames)
    }
    alike &= set(frames[0]) if shared else set()
    whole.SharedFunctionalGroupsSequence = [_item(frames[0], alike)]
    whole.PerFrameFunctionalGroupsSequence = [_item(one, set(one) - alike) for one in frames]
    whole.PixelData = b"".join(dataset.PixelData for dataset in datasets)
    return whole


def _groups(dataset: Dataset) -> dict[str, Dataset]:
    groups = {}
    for sequence, keywords in GROUPS.items():
        groups[sequence] = Dataset()
        for keyword, classic in keywords.items():
            setattr(groups[sequence], keyword, dataset[classic].value)
    return groups


def _item(groups: dict[str, Dataset], chosen: set[str]) -> Dataset:
    item = Dataset()
    for sequence in chosen:
        setattr(item, sequence, [groups[sequence]])
    return item


def rescaled(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Store the same Hounsfield units with a slope and an intercept that differ slice by slice."""
    for number, dataset in enumerate(datasets):
        by, down = (1, 2)[number % 2], number
        stored = (pixels(dataset).astype(np.uint16) + down) * by
        dataset.PixelData = stored.astype("<u2").tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = 1 / by, -1024 - down
        dataset.BitsStored, dataset.HighBit = 16, 15
    return list(datasets)


def frame(dataset: Dataset, number: int) -> Dataset:
    """Return the functional groups of one frame, from 1."""
    groups: Dataset = dataset.PerFrameFunctionalGroupsSequence[number - 1]
    return groups
