# SPDX-License-Identifier: Apache-2.0
"""One axial slice on its own: areas and an overlay, never a verdict, which needs a whole chest."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.catalogue import CT_LESIONS
from hilum.dicom.geometry import MAX_AXIAL_ANGLE, axial_angle
from hilum.dicom.read import read_slice, read_study
from hilum.errors import NotAxial
from hilum.findings import NetworkUse
from hilum.jobs import ignore_progress
from hilum.networks.maskrcnn import Segmenter
from hilum.networks.weights import load
from hilum.pipelines.ct_lesions import describe
from hilum.pipelines.lungs import find_lungs
from hilum.pipelines.slices import find_lesions
from hilum.registry import SHIPPED_ALONE, Registry
from hilum.study import Instance
from hilum.volume import Volume


@dataclass(frozen=True, slots=True)
class SliceReport:
    """What one slice shows.

    Attributes:
        study_uid, instance_uid: what was read.
        pixel_spacing_mm: between rows, between columns.
        lung_mm2: area of lung, lesions included.
        lesion_mm2: area of lesion, all classes.
        by_label: area of each class, square millimetres.
        network: which weights.
        intended_use: one sentence.
    """

    study_uid: str
    instance_uid: str
    pixel_spacing_mm: tuple[float, float]
    lung_mm2: float
    lesion_mm2: float
    by_label: dict[str, float]
    network: NetworkUse
    intended_use: str

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SliceAnalysis:
    """A slice report with the arrays behind it.

    Attributes:
        report: areas.
        hu: Hounsfield units, [y, x].
        lungs, lesions: masks as in `Analysis`, [y, x].
    """

    report: SliceReport
    hu: NDArray[np.int16]
    lungs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]


def analyse_slice(
    path: Path,
    *,
    network: str | None = None,
    device: str = "auto",
    registry: Registry = SHIPPED_ALONE,
) -> SliceAnalysis:
    """Segment one DICOM file.

    Raises:
        InputError: the file is not one axial slice in Hounsfield units; the class says how.
    """
    study_uid, volume = axial_volume(path)
    segmenter = load(network or CT_LESIONS.networks[0], device=device, registry=registry)
    lungs = find_lungs(volume).mask
    lesions = find_lesions(volume, lungs, segmenter, ignore_progress).labels
    report = _measure(study_uid, volume, lungs, lesions, segmenter)
    return SliceAnalysis(report, volume.voxels[0], lungs[0], lesions[0])


def axial_volume(path: Path) -> tuple[str, Volume]:
    """Return a DICOM file's study UID, and its slice as a volume of one.

    Raises:
        InputError: the file is not one axial slice in Hounsfield units; the class says how.
    """
    study = read_study(path)
    instance = study.series[0].by_slice().instances[0]
    _check_axial(instance)
    hu, spacing_mm = read_slice(path)
    return study.study_uid, _as_volume(hu, spacing_mm, instance.sop_instance_uid)


def _check_axial(instance: Instance) -> None:
    # A slice without orientation is taken at its word: some exports drop it.
    if instance.orientation is None:
        return
    angle = axial_angle(instance)
    if angle > MAX_AXIAL_ANGLE:
        raise NotAxial(
            f"Instance {instance.sop_instance_uid} leans {angle:.0f} degrees from axial,"
            f" expected at most {MAX_AXIAL_ANGLE:.0f}."
        )


def _as_volume(hu: NDArray[np.int16], spacing_mm: tuple[float, float], instance_uid: str) -> Volume:
    # Thickness plays no part in an area, so the slice is given one millimetre.
    down, across = spacing_mm
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = 1.0, down, across, 1.0
    return Volume(hu[None], affine, (instance_uid,))


def _measure(
    study_uid: str,
    volume: Volume,
    lungs: NDArray[np.uint8],
    lesions: NDArray[np.uint8],
    segmenter: Segmenter,
) -> SliceReport:
    _, down, across = volume.spacing_mm
    pixel_mm2 = down * across
    by_label = {
        label.name: float(np.count_nonzero(lesions == label.value)) * pixel_mm2
        for label in CT_LESIONS.labels
    }
    return SliceReport(
        study_uid=study_uid,
        instance_uid=volume.instance_uids[0],
        pixel_spacing_mm=(down, across),
        lung_mm2=float(np.count_nonzero(lungs)) * pixel_mm2,
        lesion_mm2=sum(by_label.values()),
        by_label=by_label,
        network=describe(segmenter),
        intended_use=CT_LESIONS.intended_use,
    )
