# SPDX-License-Identifier: Apache-2.0
"""Shapes of reports."""

from apiflask import Schema
from apiflask.fields import (
    UUID,
    AwareDateTime,
    Boolean,
    Date,
    Dict,
    Float,
    Integer,
    List,
    Nested,
    String,
)

from api.schemas.fields import choice, count, number, text
from hilum.grading import Grade, Verdict


class ReportLinksJSON(Schema):
    """What belongs to a report."""

    self = text("The report.", required=True)
    job = text("The job that made it.", required=True)
    study = text("What was read.", required=True)
    montage = text("PNG of slices with their masks.", required=True)
    thumbnail = text("Small PNG of the slice with the largest lesion.", required=True)
    volume = text("NIfTI of the series that was read.", required=True)
    lesions = text("NIfTI mask of lesion classes.", required=True)
    lungs = text("NIfTI mask of the lungs.", required=True)
    segmentation = text("DICOM Segmentation of the lesions.", required=True)
    measurements = text("DICOM structured report by template TID 1500.", required=True)
    key_image = text("DICOM Secondary Capture of the report's picture.", required=True)
    document = text("DICOM Encapsulated PDF of the report on paper.", required=True)
    slices = text("PNG of one slice with its masks; replace `{index}`.", required=True)


class ListedReportJSON(Schema):
    """A report in a list."""

    job_id = UUID(required=True)
    study_id = UUID(required=True)
    study_uid = text("StudyInstanceUID.", required=True)
    study_date = Date(required=True, allow_none=True)
    pipeline = text("What ran.", required=True)
    pipeline_version = text("Its version.", required=True)
    network = text("Which network, as `name@version`.", required=True)
    verdict = choice(Verdict, "For the ward.", required=True)
    grade = choice(Grade, "Severity by share of lung affected.", required=True)
    review = Boolean(
        required=True, metadata={"description": "Whether a person should look before it is used."}
    )
    lesion_share = number("Lesion volume over lung volume, 0..1.", required=True)
    lesion_ml = number("Millilitres of lesion.", required=True)
    lung_ml = number("Millilitres of lung.", required=True)
    seconds_per_slice = number("Of the whole run.", required=True)
    thresholds = text("Version of the cuts behind grade and verdict.", required=True)
    created_at = AwareDateTime(required=True)
    links = Nested(ReportLinksJSON, required=True)


class PassedJSON(Schema):
    """A series that was not read."""

    series_uid = text("SeriesInstanceUID.", required=True)
    reason = text("Why not.", required=True)


class NetworkUseJSON(Schema):
    """Which network made a report."""

    name = text("As its card has it: `maskrcnn-` and the name in jobs.", required=True)
    version = text("Of the weights.", required=True)
    sha256 = text("Of the weights file.", required=True)
    operating_point = number("Probability from which a pixel counts as lesion.", required=True)
    device = text("Where it ran.", required=True)


class BurdenJSON(Schema):
    """Lung and lesion of one side, or of both."""

    lung_ml = number("Millilitres of lung, lesions included.", required=True)
    lesion_ml = number("Millilitres of lesion.", required=True)
    share = number("Lesion volume over lung volume, 0..1.", required=True)
    by_label = Dict(
        keys=String(),
        values=Float(),
        required=True,
        metadata={"description": "Millilitres of lesion of each class."},
    )


class AssessmentJSON(Schema):
    """A graded lesion burden."""

    verdict = choice(Verdict, "For the ward.", required=True)
    grade = choice(Grade, "Of both lungs together.", required=True)
    grade_right = choice(Grade, "Of the right lung alone.", required=True)
    grade_left = choice(Grade, "Of the left lung alone.", required=True)
    review = List(
        String(),
        required=True,
        metadata={"description": "Why a person should look before the verdict is used."},
    )
    thresholds = text("Version of the cuts.", required=True)


class FindingJSON(Schema):
    """One lesion, joined across slices."""

    number = count("From 1, by falling volume.", required=True)
    label = text("Class of the lesion.", required=True)
    lung = text("Where most of it lies: right or left.", required=True)
    volume_ml = Float(required=True)
    lung_share = Float(required=True, metadata={"description": "Of both lungs' volume, 0..1."})
    mean_hu = Float(required=True)
    first_slice = Integer(required=True)
    last_slice = Integer(required=True)
    box = List(
        List(Integer()),
        required=True,
        metadata={"description": "Voxels (z, y, x): the first, and one past the last."},
    )
    score = Float(required=True, metadata={"description": "Mean probability, 0..1."})


class SliceJSON(Schema):
    """Lung and lesion area of one slice."""

    index = count("From 0 along z.", required=True)
    instance_uid = text("SOPInstanceUID.", required=True)
    frame_number = count("Which frame of the instance it is, from 1.")
    lung_mm2 = Float(required=True)
    lesion_mm2 = Float(required=True)


class ReportJSON(Schema):
    """The outcome of one job."""

    job_id = UUID(required=True)
    study_id = UUID(required=True)
    created_at = AwareDateTime(required=True)
    study_uid = text("StudyInstanceUID.", required=True)
    series_uid = text("The series that was read.", required=True)
    series_reason = text("Why this series.", required=True)
    series_passed = List(Nested(PassedJSON), required=True)
    pipeline = text("What ran.", required=True)
    pipeline_version = text("Its version.", required=True)
    code_version = text("Version of Hilum.", required=True)
    network = Nested(NetworkUseJSON, required=True)
    assessment = Nested(AssessmentJSON, required=True)
    total = Nested(BurdenJSON, required=True)
    right = Nested(BurdenJSON, required=True)
    left = Nested(BurdenJSON, required=True)
    findings = List(Nested(FindingJSON), required=True)
    slices = List(Nested(SliceJSON), required=True)
    spacing_mm = List(Float(), required=True, metadata={"description": "Along z, y, x."})
    warnings = List(String(), required=True)
    timings_s = Dict(keys=String(), values=Float(), required=True)
    seconds_per_slice = number("Of the whole run.", required=True)
    intended_use = text("What the report may be used for.", required=True)
    links = Nested(ReportLinksJSON, required=True)


class ReportsJSON(Schema):
    """One page of reports."""

    items = List(Nested(ListedReportJSON), required=True)
    next_cursor = text("Of the next page; null on the last.", required=True, allow_none=True)
