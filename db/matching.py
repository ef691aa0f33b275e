# SPDX-License-Identifier: Apache-2.0
"""What each search key of DICOM asks of our rows."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from db.studies import FILTERS
from db.tables import InstanceRow, SeriesRow, StudyRow
from hilum.dicom.attributes import tag_of
from hilum.dicom.matching import Between, Like, Match, OneOf

ESCAPE: Final = "\\"
LIKE: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_", "*": "%", "?": "_"})
"""A pattern of DICOM as one of SQL, whose own signs lose their meaning."""

Text = ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None]
Ask = Callable[[Match], ColumnElement[bool]]
"""The condition that a match is to a row."""


def _column(column: Text) -> Ask:
    return lambda match: _text_meets(column, match)


def _stored(attributes: InstrumentedAttribute[dict[str, Any] | None], keyword: str) -> Ask:
    return _column(attributes[tag_of(keyword)]["Value"][0].astext)


def _name(keyword: str) -> Ask:
    return _column(StudyRow.attributes[tag_of(keyword)]["Value"][0]["Alphabetic"].astext)


def _text_meets(text: Text, match: Match) -> ColumnElement[bool]:
    if isinstance(match, OneOf):
        return text.in_(match.values)
    if isinstance(match, Like):
        pattern = match.pattern.translate(LIKE)
        like = text.ilike if match.any_case else text.like
        return like(pattern, escape=ESCAPE)
    # Digits and dots in the order of their codes, whatever language the database speaks.
    ordered = text.collate("C")
    ends = []
    if match.first is not None:
        ends.append(ordered >= match.first)
    if match.last is not None:
        ends.append(ordered <= match.last)
    return and_(*ends)


def _study_date(match: Match) -> ColumnElement[bool]:
    # The column has an index and is there for studies that have no attributes yet.
    if not isinstance(match, Between):
        raise TypeError(f"A date was matched by {match}, expected a range.")
    ends = {"dated_from": match.first, "dated_to": match.last}
    asked = {name: date.fromisoformat(end) for name, end in ends.items() if end is not None}
    return and_(StudyRow.study_date.is_not(None), *(FILTERS[name](asked[name]) for name in asked))


def _modalities(match: Match) -> ColumnElement[bool]:
    upload, series = aliased(StudyRow), aliased(SeriesRow)
    of_study = select(series.id).join(upload, upload.id == series.study_id)
    of_study = of_study.where(
        upload.tenant_id == StudyRow.tenant_id, upload.study_uid == StudyRow.study_uid
    )
    return exists(of_study.where(_text_meets(series.modality, match)))


STUDY_KEYS: Final[Mapping[str, Ask]] = {
    "StudyDate": _study_date,
    "StudyTime": _stored(StudyRow.attributes, "StudyTime"),
    "AccessionNumber": _column(StudyRow.accession_number),
    "ModalitiesInStudy": _modalities,
    "ReferringPhysicianName": _name("ReferringPhysicianName"),
    "PatientName": _name("PatientName"),
    "PatientID": _column(StudyRow.patient_id),
    "PatientBirthDate": _stored(StudyRow.attributes, "PatientBirthDate"),
    "PatientSex": _stored(StudyRow.attributes, "PatientSex"),
    "StudyInstanceUID": _column(StudyRow.study_uid),
    "StudyID": _stored(StudyRow.attributes, "StudyID"),
    "StudyDescription": _stored(StudyRow.attributes, "StudyDescription"),
}

SERIES_KEYS: Final[Mapping[str, Ask]] = {
    "Modality": _column(SeriesRow.modality),
    "SeriesInstanceUID": _column(SeriesRow.series_uid),
    "SeriesNumber": _stored(SeriesRow.attributes, "SeriesNumber"),
    "SeriesDescription": _column(SeriesRow.description),
    "BodyPartExamined": _stored(SeriesRow.attributes, "BodyPartExamined"),
    "PerformedProcedureStepStartDate": _stored(
        SeriesRow.attributes, "PerformedProcedureStepStartDate"
    ),
}

INSTANCE_KEYS: Final[Mapping[str, Ask]] = {
    "SOPClassUID": _stored(InstanceRow.attributes, "SOPClassUID"),
    "SOPInstanceUID": _column(InstanceRow.sop_instance_uid),
    "InstanceNumber": _stored(InstanceRow.attributes, "InstanceNumber"),
}

KEYS: Final[Mapping[str, Ask]] = {**STUDY_KEYS, **SERIES_KEYS, **INSTANCE_KEYS}
"""Every key; a search takes those of its level and of the levels above."""
