# SPDX-License-Identifier: Apache-2.0
"""Shapes of studies."""

from apiflask import Schema
from apiflask.fields import UUID, AwareDateTime, Date, List, Nested

from api.schemas.fields import count, text


class SeriesJSON(Schema):
    """One series of a study."""

    series_uid = text("SeriesInstanceUID.", required=True)
    modality = text("DICOM modality.", required=True)
    description = text("SeriesDescription as sent.", required=True)
    kernel = text("ConvolutionKernel as sent.", required=True)
    instance_count = count("Files kept.", required=True)


class StudyLinksJSON(Schema):
    """Where to go from a study."""

    self = text("This study.", required=True)
    jobs = text("Its jobs.", required=True)


class StudyJSON(Schema):
    """One upload of a study."""

    id = UUID(required=True)
    study_uid = text("StudyInstanceUID.", required=True)
    study_date = Date(required=True, allow_none=True)
    content_sha256 = text("Hash over the sorted hashes of its files.", required=True)
    instance_count = count("Files kept.", required=True)
    size_bytes = count("Bytes kept.", required=True)
    created_at = AwareDateTime(required=True)
    series = List(Nested(SeriesJSON), required=True)
    links = Nested(StudyLinksJSON, required=True)


class ListedStudyJSON(StudyJSON):
    """A study in a list."""


class StudiesJSON(Schema):
    """One page of studies."""

    items = List(Nested(ListedStudyJSON), required=True)
    next_cursor = text("Of the next page; null on the last.", required=True, allow_none=True)
