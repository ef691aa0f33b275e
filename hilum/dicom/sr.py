# SPDX-License-Identifier: Apache-2.0
"""Measurements as a DICOM structured report, by template TID 1500 (PS3.16)."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from highdicom import sr
from highdicom.seg import Segmentation
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from hilum.catalogue import Label
from hilum.dicom import codes as coded
from hilum.dicom.codes import SIDES
from hilum.dicom.maker import MANUFACTURER, equipment
from hilum.dicom.quiet import quiet
from hilum.dicom.seg import segment_numbers, segments
from hilum.dicom.uids import new_uid, uid_of
from hilum.findings import LEFT_LUNG, RIGHT_LUNG, Analysis, LungBurden, Report
from hilum.grading import Grade

DESCRIPTION: Final = "Lesion burden, grade and verdict"

Group = (
    sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
)


def measurement_report(
    analysis: Analysis, labels: Sequence[Label], segmentation: Segmentation
) -> sr.Comprehensive3DSR:
    """Return what was measured as an object of the study.

    One group of measurements for each segment that holds a lesion, one for each lung, and one for
    both, which carries grade and verdict.

    Args:
        analysis: what was found.
        labels: classes of its mask.
        segmentation: the same lesions as segments, which the groups refer to.
    """
    report = analysis.report
    groups: list[Group] = [*_segment_groups(analysis, labels, segmentation), *_lung_groups(report)]
    with quiet():
        content = sr.MeasurementReport(
            observation_context=_observer(report),
            procedure_reported=coded.CT_CHEST,
            imaging_measurements=groups,
            title=codes.DCM.ImagingMeasurementReport,
        )
        found = sr.Comprehensive3DSR(
            evidence=[segmentation, *analysis.source.instances()],
            content=content[0],
            is_complete=True,
            series_description=DESCRIPTION,
            **equipment(report, "SR"),
        )
    found.CodingSchemeIdentificationSequence = [coded.own_scheme()]
    return found


def _observer(report: Report) -> sr.ObservationContext:
    """Say that a program looked, not a person."""
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DCM.Device,
            observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
                uid=uid_of(MANUFACTURER, report.pipeline),
                name=MANUFACTURER,
                manufacturer_name=MANUFACTURER,
                model_name=f"{report.pipeline} {report.pipeline_version}",
            ),
        )
    )


def _segment_groups(
    analysis: Analysis, labels: Sequence[Label], segmentation: Segmentation
) -> Iterator[sr.VolumetricROIMeasurementsAndQualitativeEvaluations]:
    numbers = segment_numbers(analysis, labels)
    for one, described in zip(segments(labels), segmentation.SegmentSequence, strict=True):
        mask = numbers == one.number
        if mask.any():
            yield sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(described.TrackingUID, one.name),
                referenced_segment=sr.ReferencedSegment(
                    segmentation.SOPClassUID,
                    segmentation.SOPInstanceUID,
                    one.number,
                    source_series=sr.SourceSeriesForSegmentation(analysis.report.series_uid),
                ),
                finding_type=coded.lesion_code(one.label),
                finding_category=coded.ABNORMAL,
                finding_sites=[sr.FindingSite(coded.LUNG, laterality=SIDES[one.side])],
                algorithm_id=_algorithm(analysis.report),
                measurements=_measurements(mask, analysis),
            )


def _measurements(mask: NDArray[np.bool_], analysis: Analysis) -> list[sr.Measurement]:
    volume = analysis.volume
    volume_ml = np.count_nonzero(mask) * volume.voxel_ml
    share = 100 * volume_ml / analysis.report.total.lung_ml
    mean_hu = float(volume.voxels[mask].mean())
    return [
        sr.Measurement(coded.VOLUME, volume_ml, coded.CUBIC_CENTIMETRE),
        sr.Measurement(coded.SEGMENT_SHARE, share, coded.PERCENT),
        sr.Measurement(coded.ATTENUATION, mean_hu, coded.HOUNSFIELD_UNIT, derivation=coded.MEAN),
    ]


def _lung_groups(report: Report) -> list[sr.MeasurementsAndQualitativeEvaluations]:
    assessment = report.assessment
    for_patient = [
        sr.QualitativeEvaluation(coded.VERDICT, coded.own_code(assessment.verdict)),
        sr.QualitativeEvaluation(coded.REVIEW, coded.YES if assessment.review else coded.NO),
    ]
    return [
        _lung_group(report, RIGHT_LUNG, report.right, assessment.grade_right, []),
        _lung_group(report, LEFT_LUNG, report.left, assessment.grade_left, []),
        _lung_group(report, None, report.total, assessment.grade, for_patient),
    ]


def _lung_group(
    report: Report,
    side: int | None,
    burden: LungBurden,
    grade: Grade,
    evaluations: Sequence[sr.QualitativeEvaluation],
) -> sr.MeasurementsAndQualitativeEvaluations:
    laterality = SIDES[side] if side else None
    name = f"{laterality.meaning.lower()} lung" if laterality else "both lungs"
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(new_uid(), name),
        finding_type=coded.LUNG,
        finding_sites=[sr.FindingSite(coded.LUNG, laterality=laterality)],
        algorithm_id=_algorithm(report),
        measurements=[
            sr.Measurement(coded.LUNG_VOLUME, burden.lung_ml, coded.CUBIC_CENTIMETRE),
            sr.Measurement(coded.LESION_VOLUME, burden.lesion_ml, coded.CUBIC_CENTIMETRE),
            sr.Measurement(coded.LESION_SHARE, 100 * burden.share, coded.PERCENT),
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(coded.GRADE, coded.own_code(grade)),
            *evaluations,
        ],
    )


def _algorithm(report: Report) -> sr.AlgorithmIdentification:
    network = report.network
    return sr.AlgorithmIdentification(
        name=network.name,
        version=network.version,
        family=coded.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
        parameters=[
            f"SHA-256 of the weights: {network.sha256}",
            f"operating point: {network.operating_point:g}",
            f"thresholds: {report.assessment.thresholds}",
        ],
    )
