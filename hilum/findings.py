# SPDX-License-Identifier: Apache-2.0
"""What a pipeline says of a study: findings, measurements, and the report that carries them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.dicom.source import Source
from hilum.grading import Assessment
from hilum.study import Passed
from hilum.volume import Volume

RIGHT_LUNG = 1
"""Value of the patient's right lung in a lung mask."""

LEFT_LUNG = 2
"""Value of the patient's left lung in a lung mask."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One lesion, joined across slices.

    Attributes:
        number: from 1, by falling volume.
        label: class name, as in the catalogue.
        lung: "right" or "left": where most of it lies.
        volume_ml: millilitres.
        lung_share: of both lungs' volume, 0..1.
        mean_hu: mean density in Hounsfield units.
        first_slice, last_slice: slice indices from 0, both included.
        box: smallest box, (z, y, x) of its first voxel and one past its last.
        score: mean of the network's probability over its voxels, 0..1.
    """

    number: int
    label: str
    lung: str
    volume_ml: float
    lung_share: float
    mean_hu: float
    first_slice: int
    last_slice: int
    box: tuple[tuple[int, int, int], tuple[int, int, int]]
    score: float


@dataclass(frozen=True, slots=True)
class LungBurden:
    """Lung and lesion volume of one side, or of both.

    Attributes:
        lung_ml: millilitres of lung, lesions included.
        lesion_ml: millilitres of lesion, all classes.
        by_label: millilitres of lesion of each class.
    """

    lung_ml: float
    lesion_ml: float
    by_label: Mapping[str, float]

    @property
    def share(self) -> float:
        """Lesion volume over lung volume, 0..1; 0 where there is no lung."""
        return self.lesion_ml / self.lung_ml if self.lung_ml > 0 else 0.0


@dataclass(frozen=True, slots=True)
class SliceBurden:
    """Lung and lesion area of one slice.

    Attributes:
        index: from 0 along the volume's z.
        instance_uid: SOP instance UID of the slice.
        lung_mm2, lesion_mm2: square millimetres.
        frame_number: which frame of the instance it is, from 1.
    """

    index: int
    instance_uid: str
    lung_mm2: float
    lesion_mm2: float
    frame_number: int = 1


@dataclass(frozen=True, slots=True)
class NetworkUse:
    """Which network made a report.

    Attributes:
        name: as its card has it, `maskrcnn-` before what requests and jobs call it.
        version: of the weights.
        sha256: of the weights file, hexadecimal.
        operating_point: probability from which a pixel counts as lesion, 0..1.
        device: where it ran.
    """

    name: str
    version: str
    sha256: str
    operating_point: float
    device: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one pipeline over one study.

    Attributes:
        study_uid, series_uid: what was read.
        series_reason: why this series.
        series_passed: the other series, and why not they.
        pipeline, pipeline_version: what ran.
        code_version: version of Hilum.
        network: which weights.
        right, left, total: burden of each lung and of both.
        assessment: grades, verdict, review.
        findings: by falling volume.
        slices: burden slice by slice, [z].
        spacing_mm: voxel spacing z, y, x.
        warnings: what was odd about the series and how it was handled.
        timings_s: seconds of each stage.
        intended_use: one sentence.
    """

    study_uid: str
    series_uid: str
    series_reason: str
    series_passed: tuple[Passed, ...]
    pipeline: str
    pipeline_version: str
    code_version: str
    network: NetworkUse
    right: LungBurden
    left: LungBurden
    total: LungBurden
    assessment: Assessment
    findings: tuple[Finding, ...]
    slices: tuple[SliceBurden, ...]
    spacing_mm: tuple[float, float, float]
    warnings: tuple[str, ...]
    timings_s: Mapping[str, float]
    intended_use: str

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data, shares included."""
        data = asdict(self)
        for side in ("right", "left", "total"):
            data[side]["share"] = getattr(self, side).share
        data["seconds_per_slice"] = self.seconds_per_slice
        return data

    @property
    def seconds_per_slice(self) -> float:
        """Seconds of the whole run over the number of slices of the series."""
        return sum(self.timings_s.values()) / max(len(self.slices), 1)


@dataclass(frozen=True, slots=True)
class Analysis:
    """A report with the arrays behind it; the arrays stay on the worker.

    Attributes:
        report: what is kept in the database.
        volume: the series that was read.
        lungs: uint8 [z, y, x]: 0 outside, RIGHT_LUNG, LEFT_LUNG.
        lesions: uint8 [z, y, x]: 0 none, otherwise a label value of the pipeline's catalogue card.
        source: the slices behind the volume.
    """

    report: Report
    volume: Volume
    lungs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    source: Source
