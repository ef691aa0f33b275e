# SPDX-License-Identifier: Apache-2.0
"""Shapes of studies."""

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, Boolean, Date, Float, List, Nested

from api.schemas.deidentification import AccountJSON
from api.schemas.fields import choice, count, number, text
from hilum.dicom.quality import BurnedIn, Outcome


class StepsJSON(Schema):
    """How the slices of a series are stacked."""

    slices = count("Different positions.", required=True)
    repeats = count("Slices at a position that another one has.", required=True)
    gaps = count("Steps so long that a slice is missing.", required=True)
    spacing_mm = number("Median distance of neighbours along the slice normal.", required=True)
    spacing_min_mm = number("The shortest.", required=True)
    spacing_max_mm = number("The longest.", required=True)
    tilt_degrees = number("Between slice normal and the way they are stacked.", required=True)


class SheetJSON(Schema):
    """What the quality gate found of a series, from its headers."""

    outcome = choice(Outcome, "Whether it was read, could be, or cannot.", required=True)
    code = text("Of the error that refuses it.", required=True, allow_none=True)
    reason = text("One sentence.", required=True)
    body_part = text("BodyPartExamined as sent.", required=True)
    photometric = text("PhotometricInterpretation as sent.", required=True)
    is_original = Boolean(required=True, metadata={"description": "Straight from the scanner."})
    plane = text("`axial`, `coronal`, `sagittal`, `oblique`, or nothing.", required=True)
    frames = count("Images in its files.", required=True)
    rows = count("Of the first slice.", required=True)
    columns = count("Of the first slice.", required=True)
    pixel_spacing_mm = List(
        Float(),
        required=True,
        allow_none=True,
        metadata={"description": "Between rows, between columns."},
    )
    steps = Nested(StepsJSON, required=True, allow_none=True)
    has_rescale = Boolean(
        required=True, metadata={"description": "Whether every slice says what its values mean."}
    )
    transfer_syntaxes = List(text("Name of an encoding."), required=True)
    burned_in = choice(BurnedIn, "Whether the pixels may name the patient.", required=True)


class SeriesJSON(Schema):
    """One series of a study."""

    series_uid = text("SeriesInstanceUID.", required=True)
    modality = text("DICOM modality.", required=True)
    description = text("SeriesDescription as sent.", required=True)
    kernel = text("ConvolutionKernel as sent.", required=True)
    instance_count = count("Files kept.", required=True)
    sheet = Nested(SheetJSON, required=True, allow_none=True)


class StudyLinksJSON(Schema):
    """Where to go from a study."""

    self = text("This study.", required=True)
    jobs = text("Its jobs.", required=True)


class ListedStudyJSON(Schema):
    """A study in a list."""

    id = UUID(required=True)
    study_uid = text("StudyInstanceUID.", required=True)
    study_date = Date(required=True, allow_none=True)
    content_sha256 = text("Hash over the sorted hashes of its files.", required=True)
    instance_count = count("Files kept.", required=True)
    size_bytes = count("Bytes kept.", required=True)
    created_at = AwareDateTime(required=True)
    series = List(Nested(SeriesJSON), required=True)
    links = Nested(StudyLinksJSON, required=True)


class StudyJSON(ListedStudyJSON):
    """One upload of a study."""

    deidentification = Nested(AccountJSON, required=True, allow_none=True)


class StudiesJSON(Schema):
    """One page of studies."""

    items = List(Nested(ListedStudyJSON), required=True)
    next_cursor = text("Of the next page; null on the last.", required=True, allow_none=True)
