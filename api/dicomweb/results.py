# SPDX-License-Identifier: Apache-2.0
"""Results of a search in the DICOM JSON model: what the rows keep, and what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from flask import url_for
from sqlalchemy.orm import Session

from api.dicomweb.search import Level, Query
from db.contents import StudyContent, series_contents, study_contents
from db.dicomweb import Found, Results
from db.tables import InstanceRow, SeriesRow, StudyRow
from hilum.dicom.attributes import JSONObject, tag_of
from hilum.dicom.metadata import UTF_8

USUAL: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.STUDY: (
        "SpecificCharacterSet",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "InstanceAvailability",
        "ModalitiesInStudy",
        "ReferringPhysicianName",
        "TimezoneOffsetFromUTC",
        "RetrieveURL",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "PatientSex",
        "StudyInstanceUID",
        "StudyID",
        "NumberOfStudyRelatedSeries",
        "NumberOfStudyRelatedInstances",
    ),
    Level.SERIES: (
        "SpecificCharacterSet",
        "Modality",
        "TimezoneOffsetFromUTC",
        "SeriesDescription",
        "RetrieveURL",
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SeriesNumber",
        "NumberOfSeriesRelatedInstances",
    ),
    Level.INSTANCE: (
        "SpecificCharacterSet",
        "SOPClassUID",
        "SOPInstanceUID",
        "InstanceAvailability",
        "TimezoneOffsetFromUTC",
        "RetrieveURL",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "InstanceNumber",
        "Rows",
        "Columns",
        "BitsAllocated",
        "NumberOfFrames",
    ),
}
"""What a result has unasked (PS3.18 tables 10.6.3-3 to 10.6.3-5), and the UIDs above it."""

IF_KNOWN: Final = frozenset(
    {"TimezoneOffsetFromUTC", "Rows", "Columns", "BitsAllocated", "NumberOfFrames"}
)
"""Attributes that a result is without where they have no value; others are there and empty."""

LEVELS: Final = tuple(Level)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is counted for a page of results: a fixed number of questions, however long it is."""

    studies: Mapping[str, StudyContent]
    series: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, session: Session, query: Query, results: Results) -> Self:
        """Count what the results of a search show."""
        search = query.search
        study_uids = {found.study.study_uid for found in results.rows}
        series_uids = {found.series.series_uid for found in results.rows if found.series}
        shown = _shown(query)
        studies = (
            study_contents(session, search.tenant_id, study_uids) if Level.STUDY in shown else {}
        )
        series = (
            series_contents(session, search.tenant_id, study_uids, series_uids)
            if Level.SERIES in shown
            else {}
        )
        return cls(studies, series)


def _shown(query: Query) -> list[Level]:
    """Return the levels whose usual attributes a result has: those above it where it is free."""
    first = Level.STUDY
    if query.search.study_uid is not None:
        first = Level.SERIES if query.search.series_uid is None else Level.INSTANCE
    of_interest = LEVELS[LEVELS.index(first) : LEVELS.index(query.level) + 1]
    return list(of_interest) or [query.level]


def result(query: Query, found: Found, contents: Contents) -> JSONObject:
    """Return one result of a search."""
    known: JSONObject = {}
    for level in LEVELS[: LEVELS.index(query.level) + 1]:
        known |= _level(level, found, contents)
    wanted = {tag_of(keyword) for level in _shown(query) for keyword in USUAL[level]}
    wanted |= query.fields
    if query.everything:
        wanted |= set(_level(query.level, found, contents))
    return {tag: known[tag] for tag in sorted(wanted & set(known)) if _is_shown(tag, known[tag])}


def _is_shown(tag: str, element: JSONObject) -> bool:
    return "Value" in element or tag not in {tag_of(keyword) for keyword in IF_KNOWN}


def _level(level: Level, found: Found, contents: Contents) -> JSONObject:
    if level is Level.STUDY:
        return _study(found.study, contents)
    if level is Level.SERIES and found.series:
        return _series(found.study, found.series, contents)
    if level is Level.INSTANCE and found.series and found.instance:
        return _instance(found.study, found.series, found.instance)
    return {}


def _study(row: StudyRow, contents: Contents) -> JSONObject:
    content = contents.studies.get(row.study_uid)
    date = row.study_date and f"{row.study_date:%Y%m%d}"
    return {
        **(row.attributes or plain(StudyDate=("DA", date))),
        tag_of("SpecificCharacterSet"): UTF_8,
        **plain(
            StudyInstanceUID=("UI", row.study_uid),
            InstanceAvailability=("CS", "ONLINE"),
            RetrieveURL=("UR", address(study_uid=row.study_uid)),
            ModalitiesInStudy=("CS", *(content.modalities if content else ())),
            NumberOfStudyRelatedSeries=("IS", content and content.series),
            NumberOfStudyRelatedInstances=("IS", content and content.instances),
        ),
    }


def _series(study: StudyRow, row: SeriesRow, contents: Contents) -> JSONObject:
    count = contents.series.get((study.study_uid, row.series_uid))
    noted = plain(Modality=("CS", row.modality), SeriesDescription=("LO", row.description))
    return {
        **(row.attributes or noted),
        **plain(
            SeriesInstanceUID=("UI", row.series_uid),
            RetrieveURL=("UR", address(study_uid=study.study_uid, series_uid=row.series_uid)),
            NumberOfSeriesRelatedInstances=("IS", count),
        ),
    }


def _instance(study: StudyRow, series: SeriesRow, row: InstanceRow) -> JSONObject:
    uid = row.sop_instance_uid
    url = address(study_uid=study.study_uid, series_uid=series.series_uid, sop_uid=uid)
    return {
        **(row.attributes or plain(SOPClassUID=("UI", None))),
        **plain(SOPInstanceUID=("UI", uid), RetrieveURL=("UR", url)),
    }


def address(**uids: str) -> str:
    """Return where a study, a series or an instance is fetched, by study_uid and so on."""
    view = {1: "study", 2: "series", 3: "instance"}[len(uids)]
    return url_for(f"dicomweb.{view}", **uids, _external=True)


def plain(**attributes: tuple[Any, ...]) -> JSONObject:
    """Return attributes, each a value representation and its values, as JSON."""
    return {
        tag_of(keyword): {"vr": vr} | ({"Value": kept} if (kept := _there(values)) else {})
        for keyword, (vr, *values) in attributes.items()
    }


def _there(values: list[Any]) -> list[Any]:
    # Items of sequences cannot be hashed.
    return [value for value in values if value is not None and value != ""]
