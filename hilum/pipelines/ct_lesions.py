# SPDX-License-Identifier: Apache-2.0
"""The pipeline `ct-lesions`: a chest CT study in, lesion burden, grade and verdict out.

Source: Aleem, Raj, Khan 2020, arXiv 2008.09713 (Mask R-CNN, ResNet50 and ResNet101; patient Mild
or Alarming). What differs is written down in docs/sources.md.
"""

from importlib.metadata import version

from hilum.catalogue import CT_LESIONS
from hilum.dicom.layout import lay_out
from hilum.dicom.read import read_grid, same_image
from hilum.dicom.selection import choose_ct_series
from hilum.dicom.source import read_source
from hilum.findings import Analysis, NetworkUse, Report
from hilum.grading import Thresholds, assess
from hilum.jobs import Progress, Stage
from hilum.networks.maskrcnn import Segmenter
from hilum.pipelines.lungs import find_lungs
from hilum.pipelines.measure import join_findings, measure_burden, measure_slices
from hilum.pipelines.slices import find_lesions
from hilum.pipelines.stopwatch import Steps, Stopwatch
from hilum.study import Study

MEASURING_STEPS = 3


def run(study: Study, segmenter: Segmenter, thresholds: Thresholds, progress: Progress) -> Analysis:
    """Segment, measure and grade one study.

    Raises:
        InputError: the study has no series that can be read as one grid of voxels.
    """
    watch = Stopwatch(progress)
    choice = choose_ct_series(study)
    with watch.stage(Stage.READING):
        layout = lay_out(choice.series, same_image)
        volume = read_grid(layout, progress)
        source = read_source(layout)
    with watch.stage(Stage.LUNGS):
        lungs = find_lungs(volume, progress)
    with watch.stage(Stage.SLICES):
        lesions = find_lesions(volume, lungs.mask, segmenter, progress)
    with watch.stage(Stage.MEASURING):
        labels, steps = CT_LESIONS.labels, Steps(progress, Stage.MEASURING, MEASURING_STEPS)
        findings = join_findings(volume, lungs.mask, lesions, labels)
        steps.take()
        right, left, total = measure_burden(volume, lungs.mask, lesions.labels, labels)
        steps.take()
        slices = measure_slices(volume, lungs.mask, lesions.labels)
    report = Report(
        study_uid=study.study_uid,
        series_uid=choice.series.series_uid,
        series_reason=choice.reason,
        series_passed=choice.passed,
        pipeline=CT_LESIONS.name,
        pipeline_version=CT_LESIONS.version,
        code_version=version("hilum"),
        network=describe(segmenter),
        right=right,
        left=left,
        total=total,
        assessment=assess(
            share=total.share,
            share_right=right.share,
            share_left=left.share,
            doubts=lungs.doubts,
            thresholds=thresholds,
        ),
        findings=findings,
        slices=slices,
        spacing_mm=volume.spacing_mm,
        warnings=volume.warnings,
        timings_s=watch.timings_s,
        intended_use=CT_LESIONS.intended_use,
    )
    return Analysis(report, volume, lungs.mask, lesions.labels, source)


def describe(segmenter: Segmenter) -> NetworkUse:
    """Return which weights ran, and where."""
    info = segmenter.info
    return NetworkUse(
        name=info.name,
        version=info.version,
        sha256=info.sha256,
        operating_point=info.operating_point,
        device=str(segmenter.device),
    )
