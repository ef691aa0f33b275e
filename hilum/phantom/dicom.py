# SPDX-License-Identifier: Apache-2.0
"""A phantom as a CT Image Storage series, as a scanner would send it."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

LOWEST_HU = -1024
"""Rescale intercept: stored value 0."""

HIGHEST_HU = 3071
"""Largest value of 12 stored bits."""

FIXED = {
    "SpecificCharacterSet": "ISO_IR 192",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "SOPClassUID": CTImageStorage,
    "StudyDate": "20200401",
    "SeriesDate": "20200401",
    "AcquisitionDate": "20200401",
    "ContentDate": "20200401",
    "StudyTime": "080000",
    "ContentTime": "080000",
    "AccessionNumber": "",
    "Modality": "CT",
    "Manufacturer": "Hilum",
    "ManufacturerModelName": "Phantom",
    "ReferringPhysicianName": "",
    "StudyDescription": "CT chest",
    "SeriesDescription": "Chest, lung kernel",
    "PatientName": "Phantom^Hilum",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "BodyPartExamined": "CHEST",
    "KVP": "120",
    "GantryDetectorTilt": "0",
    "ConvolutionKernel": "LUNG",
    "PatientPosition": "HFS",
    "StudyID": "1",
    "SeriesNumber": 2,
    "AcquisitionNumber": 1,
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "PositionReferenceIndicator": "",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "RescaleIntercept": LOWEST_HU,
    "RescaleSlope": 1,
    "RescaleType": "HU",
    "WindowCenter": -600,
    "WindowWidth": 1500,
}
"""The attributes that no slice changes; PS3.3 A.3, CT Image IOD."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a phantom is: UIDs under 2.25 that follow from its voxels, so they can be made again."""

    root: str

    @classmethod
    def of(cls, voxels: NDArray[np.int16]) -> "Identity":
        """Return the identity of these voxels."""
        return cls(sha256(voxels.tobytes()).hexdigest())

    def uid(self, what: str) -> UID:
        """Return the UID of one part, such as "study"."""
        digest = sha256(f"{self.root}/{what}".encode()).digest()
        # PS3.5 B.2: a UUID as a decimal number below 2.25.
        return UID(f"2.25.{UUID(bytes=digest[:16], version=4).int}")


def slice_datasets(voxels: NDArray[np.int16], affine: NDArray[np.float64]) -> list[Dataset]:
    """Return one dataset a slice; instance 1 is the topmost, as scanners number them.

    Args:
        voxels: Hounsfield units, [z, y, x]; z grows towards the head.
        affine: maps (z, y, x, 1) to LPS millimetres.
    """
    identity = Identity.of(voxels)
    top = len(voxels) - 1
    return [_slice_dataset(voxels[z], affine, z, top - z + 1, identity) for z in range(top, -1, -1)]


def _slice_dataset(
    image: NDArray[np.int16],
    affine: NDArray[np.float64],
    z: int,
    number: int,
    identity: Identity,
) -> Dataset:
    dataset = Dataset()
    for keyword, value in FIXED.items():
        setattr(dataset, keyword, value)
    dataset.PatientID = f"PHANTOM-{identity.root[:8].upper()}"
    dataset.StudyInstanceUID = identity.uid("study")
    dataset.SeriesInstanceUID = identity.uid("series")
    dataset.FrameOfReferenceUID = identity.uid("frame of reference")
    dataset.SOPInstanceUID = identity.uid(f"instance {number}")
    dataset.InstanceNumber = number
    dataset.Rows, dataset.Columns = image.shape
    _place(dataset, affine, z)
    stored = np.clip(image, LOWEST_HU, HIGHEST_HU) - LOWEST_HU
    dataset.PixelData = stored.astype("<u2").tobytes()
    dataset.file_meta = _file_meta(dataset)
    return dataset


def _place(dataset: Dataset, affine: NDArray[np.float64], z: int) -> None:
    position = affine @ (z, 0.0, 0.0, 1.0)
    row_mm, column_mm = np.linalg.norm(affine[:3, 1]), np.linalg.norm(affine[:3, 2])
    dataset.ImagePositionPatient = [round(float(value), 4) for value in position[:3]]
    dataset.SliceLocation = round(float(position[2]), 4)
    dataset.PixelSpacing = [round(float(row_mm), 6), round(float(column_mm), 6)]
    dataset.SliceThickness = round(float(np.linalg.norm(affine[:3, 0])), 4)
    dataset.ReconstructionDiameter = round(float(column_mm) * dataset.Columns, 2)


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = Identity("hilum").uid("implementation")
    return meta
