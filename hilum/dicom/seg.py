# SPDX-License-Identifier: Apache-2.0
"""Lesions as a DICOM Segmentation (PS3.3 A.51): binary, one segment a class and lung."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from hilum.catalogue import Label
from hilum.dicom.codes import ABNORMAL, LUNG, SIDES, code_item, lesion_code
from hilum.dicom.header import ENHANCED
from hilum.dicom.maker import algorithm, equipment
from hilum.dicom.quiet import quiet
from hilum.dicom.source import Source
from hilum.dicom.uids import uid_of
from hilum.findings import Analysis, Report

DESCRIPTION: Final = "Lesions by class and lung"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment of the object.

    Attributes:
        number: from 1.
        label: class of its lesions.
        side: value of their lung in a lung mask.
    """

    number: int
    label: Label
    side: int

    @property
    def name(self) -> str:
        """What people call it, such as `consolidation, left lung`."""
        return f"{self.label.name}, {SIDES[self.side].meaning.lower()} lung"


def segments(labels: Sequence[Label]) -> list[Segment]:
    """Return the segments of every such object, in the order of their numbers."""
    pairs = [(label, side) for label in labels for side in SIDES]
    return [Segment(number, *pair) for number, pair in enumerate(pairs, start=1)]


def segment_numbers(analysis: Analysis, labels: Sequence[Label]) -> NDArray[np.uint8]:
    """Return the segment number of each voxel [z, y, x], 0 where there is no lesion."""
    numbers = np.zeros_like(analysis.lesions)
    numbered = segments(labels)
    for slice_numbers, lesions, lungs in zip(
        numbers, analysis.lesions, analysis.lungs, strict=True
    ):
        # Most of a chest is without one, and a slice stays in the processor's cache.
        if not lesions.any():
            continue
        for one in numbered:
            slice_numbers[(lesions == one.label.value) & (lungs == one.side)] = one.number
    return numbers


def segmentation(analysis: Analysis, labels: Sequence[Label]) -> Segmentation:
    """Return the lesions of an analysis as an object of its study.

    Every class has a segment for each lung, in one order, whether or not there is such a lesion;
    only frames that hold one are stored. Without any lesion, the middle slice has an empty frame a
    segment, since an object without frames is none.

    Args:
        analysis: whose slices the object refers to.
        labels: classes of its mask.
    """
    numbers = segment_numbers(analysis, labels)
    chosen = np.flatnonzero(numbers.any(axis=(1, 2)))
    empty = not len(chosen)
    if empty:
        chosen = np.array([len(numbers) // 2])
    made = equipment(analysis.report, "SEG")
    descriptions = [
        _description(one, analysis.report, made["sop_instance_uid"]) for one in segments(labels)
    ]
    stand_ins = _stand_ins(analysis.source)
    with quiet():
        found = Segmentation(
            source_images=[stand_ins[z] for z in chosen],
            pixel_array=analysis.source.as_stored(numbers[chosen]),
            segmentation_type="BINARY",
            segment_descriptions=descriptions,
            omit_empty_frames=not empty,
            content_label="LESIONS",
            content_description=DESCRIPTION,
            series_description=DESCRIPTION,
            **made,
        )
        _refer_to_frames(found, analysis.source, [int(z) for z in chosen])
    return found


def _description(one: Segment, report: Report, sop_instance_uid: str) -> SegmentDescription:
    description = SegmentDescription(
        segment_number=one.number,
        segment_label=one.name,
        segmented_property_category=ABNORMAL,
        segmented_property_type=lesion_code(one.label),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm(report),
        tracking_id=one.name,
        tracking_uid=uid_of(sop_instance_uid, one.name),
        anatomic_regions=[LUNG],
        display_color=CIELabColor.from_rgb(*one.label.color),
    )
    region = description.AnatomicRegionSequence[0]
    region.AnatomicRegionModifierSequence = [code_item(SIDES[one.side])]
    return description


# ── Frames of enhanced instances ──────────────────────────────────────────────────────────────


def _stand_ins(source: Source) -> list[Dataset]:
    """Return a header of a classic instance for each slice, [z].

    highdicom takes many slices, or one instance of frames; a series may be several of those.
    """
    return [
        _stand_in(header, frame) if header.SOPClassUID in ENHANCED else header
        for header, frame in zip_longest(source.headers, source.frame_numbers)
    ]


def _stand_in(header: Dataset, frame: int) -> Dataset:
    plain = Dataset()
    plain.update(header)
    # New elements: setting a value would change the one that the header shares.
    plain.add_new("SOPClassUID", "UI", CTImageStorage)
    plain.add_new("SOPInstanceUID", "UI", uid_of(header.SOPInstanceUID, str(frame)))
    return plain


def _refer_to_frames(found: Segmentation, source: Source, chosen: Sequence[int]) -> None:
    """Put the true instances and their frames in place of those that stood in for them."""
    if not any(source.headers[z].SOPClassUID in ENHANCED for z in chosen):
        return
    stand_ins = _stand_ins(source)
    slices = {stand_ins[z].SOPInstanceUID: z for z in chosen}
    items = [
        item
        for group in found.PerFrameFunctionalGroupsSequence
        for item in group.DerivationImageSequence[0].SourceImageSequence
    ]
    # Segments of one slice share their item.
    for item in {id(item): item for item in items}.values():
        z = slices[item.ReferencedSOPInstanceUID]
        _refer(item, source.headers[z])
        if source.headers[z].SOPClassUID in ENHANCED:
            item.ReferencedFrameNumber = source.frame_numbers[z]
    instances = {source.headers[z].SOPInstanceUID: source.headers[z] for z in chosen}
    references = [_refer(Dataset(), header) for header in instances.values()]
    found.SourceImageSequence = references
    found.ReferencedSeriesSequence[0].ReferencedInstanceSequence = references


def _refer(item: Dataset, header: Dataset) -> Dataset:
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item
