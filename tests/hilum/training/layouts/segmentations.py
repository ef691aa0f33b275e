"""DICOM SEG objects over a CT series, as small as PS3.3 A.51 lets them be."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage, generate_uid

GROUND_GLASS = ("112120", "DCM", "Ground glass")
CONSOLIDATION = ("9656002", "SCT", "Consolidation")


def segmentation(
    slices: Sequence[Dataset],
    masks: Sequence[NDArray[np.uint8]],
    *,
    segments: Mapping[int, tuple[str, str, str]] | None = None,
    fractional: bool = False,
    by_position: bool = False,
) -> Dataset:
    """Return a SEG with a frame for each class of each slice that holds any of it.

    Args:
        slices: CT instances.
        masks: the label map of each, stored as its instance is.
        segments: (code, scheme, label) of each class.
        fractional: store 0..200 instead of bits.
        by_position: leave out which instance a frame was drawn on.
    """
    segments = segments or {1: GROUND_GLASS, 2: CONSOLIDATION}
    frames, groups = [], []
    for dataset, mask in zip(slices, masks, strict=True):
        for number in segments:
            if (mask == number).any():
                frames.append(mask == number)
                groups.append(_groups(dataset, number, by_position=by_position))
    seg = _header(slices[0], np.array(frames), fractional=fractional)
    seg.SegmentSequence = Items([_segment(number, *code) for number, code in segments.items()])
    seg.PerFrameFunctionalGroupsSequence = Items(groups)
    if by_position:
        seg.ReferencedSeriesSequence = Items([_series(slices)])
    return seg


def _header(first: Dataset, frames: NDArray[np.bool_], *, fractional: bool) -> Dataset:
    seg = Dataset()
    seg.file_meta = FileMetaDataset()
    seg.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    seg.file_meta.MediaStorageSOPClassUID = seg.SOPClassUID = SegmentationStorage
    seg.file_meta.MediaStorageSOPInstanceUID = seg.SOPInstanceUID = generate_uid()
    seg.StudyInstanceUID, seg.SeriesInstanceUID = first.StudyInstanceUID, generate_uid()
    seg.Modality, seg.PatientID = "SEG", first.PatientID
    seg.Rows, seg.Columns, seg.NumberOfFrames = first.Rows, first.Columns, len(frames)
    seg.SamplesPerPixel, seg.PhotometricInterpretation = 1, "MONOCHROME2"
    seg.PixelRepresentation = 0
    seg.BitsAllocated = seg.BitsStored = 8 if fractional else 1
    seg.HighBit = seg.BitsStored - 1
    seg.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    if fractional:
        seg.MaximumFractionalValue = 200
        # Half and more counts, what lies under it does not.
        seg.PixelData = np.where(frames, 100, 99).astype(np.uint8).tobytes()
    else:
        seg.PixelData = pack_bits(frames.ravel().astype(np.uint8))
    seg["PixelData"].VR = "OB"
    shared = Dataset()
    shared.PlaneOrientationSequence = Items([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = first.ImageOrientationPatient
    seg.SharedFunctionalGroupsSequence = Items([shared])
    return seg


def _groups(dataset: Dataset, number: int, *, by_position: bool) -> Dataset:
    own = Dataset()
    own.SegmentIdentificationSequence = Items([Dataset()])
    own.SegmentIdentificationSequence[0].ReferencedSegmentNumber = number
    own.PlanePositionSequence = Items([Dataset()])
    own.PlanePositionSequence[0].ImagePositionPatient = dataset.ImagePositionPatient
    if not by_position:
        derivation = Dataset()
        derivation.SourceImageSequence = Items([_reference(dataset)])
        own.DerivationImageSequence = Items([derivation])
    return own


def _segment(number: int, code: str, scheme: str, label: str) -> Dataset:
    coded = Dataset()
    coded.CodeValue, coded.CodingSchemeDesignator, coded.CodeMeaning = code, scheme, label
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = number, label
    segment.SegmentedPropertyTypeCodeSequence = Items([coded])
    return segment


def _series(slices: Sequence[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = slices[0].SeriesInstanceUID
    series.ReferencedInstanceSequence = Items([_reference(dataset) for dataset in slices])
    return series


def _reference(dataset: Dataset) -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = dataset.SOPClassUID
    reference.ReferencedSOPInstanceUID = dataset.SOPInstanceUID
    return reference
