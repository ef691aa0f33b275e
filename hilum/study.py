# SPDX-License-Identifier: Apache-2.0
"""What a scanner sent, known by its UIDs: a study of series of instances."""

from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Instance:
    """The header of one DICOM instance, or of one frame of it; pixels stay in the file.

    Attributes:
        sop_instance_uid: names the instance.
        path: the file it was read from.
        transfer_syntax_uid: how its pixels are stored.
        rows, columns: size of the image; 0 where the header has none.
        pixel_spacing_mm: between rows, between columns (PS3.3 10.7.1.3); None where absent.
        orientation: row and column direction cosines, six numbers; None where absent.
        position_mm: LPS millimetres of the first voxel's centre; None where absent.
        has_rescale: whether RescaleSlope and RescaleIntercept to Hounsfield units are present.
        instance_number: InstanceNumber, for messages only: vendors number as they like; None where
            absent.
        image_type: the values of ImageType, or of a frame's FrameType, upper case.
        sop_class_uid: what kind of object it is, "" where absent.
        frames: NumberOfFrames, 1 where absent.
        frame: which of them it describes, from 0.
        slices: of an enhanced instance, its frames, each as an instance that shares name and file;
            what differs from frame to frame is there alone. Empty for any other.
    """

    sop_instance_uid: str
    path: Path
    transfer_syntax_uid: str
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float] | None
    orientation: tuple[float, float, float, float, float, float] | None
    position_mm: tuple[float, float, float] | None
    has_rescale: bool
    instance_number: int | None = None
    image_type: tuple[str, ...] = ()
    sop_class_uid: str = ""
    frames: int = 1
    frame: int = 0
    slices: tuple["Instance", ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """Instances of one acquisition or reconstruction.

    Attributes:
        series_uid: names the series.
        modality: DICOM modality, "" where absent.
        description: SeriesDescription as sent, "" where absent.
        kernel: ConvolutionKernel, "" where absent.
        image_type: the values of ImageType, upper case.
        instances: one a file, or after `by_slice` one a slice; in no particular order.
        body_part: BodyPartExamined, "" where absent.
        photometric: PhotometricInterpretation, "" where absent.
        burned_in: `YES` where the BurnedInAnnotation of a slice says so, `NO` where all do, else "".
    """

    series_uid: str
    modality: str
    description: str
    kernel: str
    image_type: tuple[str, ...]
    instances: tuple[Instance, ...]
    body_part: str = ""
    photometric: str = ""
    burned_in: str = ""

    def by_slice(self) -> "Series":
        """Return the series with each frame of an enhanced instance standing for itself."""
        slices = (one for instance in self.instances for one in instance.slices or (instance,))
        return replace(self, instances=tuple(slices))


@dataclass(frozen=True, slots=True)
class Study:
    """One visit to the scanner.

    Attributes:
        study_uid: names the study.
        study_date: YYYYMMDD as sent, "" where absent.
        series: by falling number of instances.
    """

    study_uid: str
    study_date: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """A series that was not chosen, and why.

    Attributes:
        series_uid: names the series.
        reason: one sentence.
    """

    series_uid: str
    reason: str


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """The series a pipeline reads, and why this one.

    Attributes:
        series: the chosen one.
        reason: one sentence.
        passed: the others.
    """

    series: Series
    reason: str
    passed: tuple[Passed, ...]
