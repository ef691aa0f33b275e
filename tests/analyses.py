"""Finished analyses with known answers, made from phantoms by measuring their own truth."""

import numpy as np
from numpy.typing import NDArray

from hilum.catalogue import CT_LESIONS
from hilum.dicom.geometry import Turn
from hilum.dicom.source import Source
from hilum.findings import Analysis, NetworkUse, Report
from hilum.grading import assess
from hilum.phantom import Phantom
from hilum.pipelines.measure import join_findings, measure_burden, measure_slices
from hilum.pipelines.slices import Lesions
from hilum.volume import Volume


def volume_of(phantom: Phantom) -> Volume:
    """Return a phantom as the reader would, without going through DICOM."""
    uids = tuple(f"2.25.{z}" for z in range(len(phantom.voxels)))
    return Volume(phantom.voxels, phantom.affine, uids)


def source_of(phantom: Phantom) -> Source:
    """Return the slices of a phantom without going through files."""
    headers = reversed(phantom.datasets())
    return Source(tuple(headers), Turn())


def analysis_of(
    phantom: Phantom, *, lungs: NDArray[np.uint8] | None = None, source: Source | None = None
) -> Analysis:
    """Return what a perfect network would say of a phantom, however its slices are stored."""
    volume = volume_of(phantom)
    lungs = phantom.lungs if lungs is None else lungs
    truth = np.where(lungs > 0, phantom.lesions, 0).astype(np.uint8)
    lesions = Lesions(truth, np.where(truth > 0, 255, 0).astype(np.uint8))
    findings = join_findings(volume, lungs, lesions, CT_LESIONS.labels)
    right, left, total = measure_burden(volume, lungs, lesions.labels, CT_LESIONS.labels)
    report = Report(
        study_uid="2.25.1",
        series_uid="2.25.2",
        series_reason="The only CT series.",
        series_passed=(),
        pipeline=CT_LESIONS.name,
        pipeline_version=CT_LESIONS.version,
        code_version="0",
        network=NetworkUse("truth", "0", "0" * 64, 0.5, "cpu"),
        right=right,
        left=left,
        total=total,
        assessment=assess(share=total.share, share_right=right.share, share_left=left.share),
        findings=findings,
        slices=measure_slices(volume, lungs, lesions.labels),
        spacing_mm=volume.spacing_mm,
        warnings=(),
        timings_s={"reading": 1.0, "slices": 3.0},
        intended_use=CT_LESIONS.intended_use,
    )
    return Analysis(report, volume, lungs, lesions.labels, source or source_of(phantom))
