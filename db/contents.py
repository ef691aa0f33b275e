# SPDX-License-Identifier: Apache-2.0
"""What a study and a series hold, over all uploads and jobs."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from db.newest import is_first
from db.tables import InstanceRow, SeriesRow, StudyRow

Query = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class StudyContent:
    """What all uploads and jobs of a study hold together."""

    series: int
    instances: int
    modalities: tuple[str, ...]


def study_contents(
    session: Session, tenant_id: UUID, study_uids: Collection[str]
) -> dict[str, StudyContent]:
    """Return what each of these studies holds, by its UID."""
    series, modality = SeriesRow.series_uid, SeriesRow.modality
    counted = (
        func.count(series.distinct()),
        func.count(tuple_(series, InstanceRow.sop_instance_uid).distinct()),
        func.array_agg(modality.distinct()),
    )
    query = _of_studies(select(StudyRow.study_uid, *counted), tenant_id, study_uids)
    found = session.execute(query.group_by(StudyRow.study_uid))
    return {
        uid: StudyContent(series, instances, tuple(sorted(filter(None, modalities))))
        for uid, series, instances, modalities in found
    }


def series_contents(
    session: Session, tenant_id: UUID, study_uids: Collection[str], series_uids: Collection[str]
) -> dict[tuple[str, str], int]:
    """Return how many instances each of these series holds, by the UIDs of study and series."""
    of_series = (StudyRow.study_uid, SeriesRow.series_uid)
    counted = func.count(InstanceRow.sop_instance_uid.distinct())
    query = _of_studies(select(*of_series, counted), tenant_id, study_uids)
    query = query.where(SeriesRow.series_uid.in_(series_uids)).group_by(*of_series)
    found = session.execute(query)
    return {(study, series): count for study, series, count in found}


def _of_studies(query: Query, tenant_id: UUID, study_uids: Collection[str]) -> Query:
    query = query.join(SeriesRow, SeriesRow.study_id == StudyRow.id)
    query = query.join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
    return query.where(
        StudyRow.tenant_id == tenant_id, StudyRow.study_uid.in_(study_uids), is_first()
    )
