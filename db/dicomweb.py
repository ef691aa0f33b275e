# SPDX-License-Identifier: Apache-2.0
"""What DICOMweb asks: studies, series and instances as one, whichever uploads and jobs made them.

A study that came in several uploads is several rows of one UID. What the last one says of the study
counts; its series and instances are those of all of them, each as the last upload has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, defer

from db.matching import KEYS
from db.newest import (
    NEWEST,
    Upload,
    is_first,
    newer_instance,
    newer_series,
    newer_upload,
    same_study,
)
from db.tables import InstanceRow, SeriesRow, StudyRow
from hilum.dicom.matching import Match

Query = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search is for.

    Attributes:
        tenant_id: whose objects.
        keys: what each keyword asks.
        study_uid, series_uid: below which; None for all.
        limit, offset: rows, and rows passed over.
    """

    tenant_id: UUID
    keys: Mapping[str, Match] = field(default_factory=dict)
    study_uid: str | None = None
    series_uid: str | None = None
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """One result of a search, with what lies above it.

    Attributes:
        study: its last upload.
        series, instance: None where the search is for what lies above them.
    """

    study: StudyRow
    series: SeriesRow | None = None
    instance: InstanceRow | None = None


@dataclass(frozen=True, slots=True)
class FoundInstance(Found):
    """One instance, with its series and study."""

    series: SeriesRow
    instance: InstanceRow


@dataclass(frozen=True, slots=True)
class Results:
    """One page of a search.

    Attributes:
        rows: the newest study first.
        has_more: whether there are others after them.
    """

    rows: Sequence[Found]
    has_more: bool


# ── Searching ─────────────────────────────────────────────────────────────────────────────────


def search_studies(session: Session, search: Search) -> Results:
    """Return the studies that meet every key."""
    query = _narrow(select(StudyRow), search).order_by(*NEWEST)
    found, has_more = _page(session, query, search)
    return Results([Found(study) for (study,) in found], has_more)


def search_series(session: Session, search: Search) -> Results:
    """Return the series that meet every key."""
    query = _narrow(_with_series(select(StudyRow, SeriesRow)), search).where(~newer_series())
    # What was sent goes before what jobs made of it.
    order = (Upload.created_at.desc(), Upload.id, SeriesRow.job_id.is_not(None), SeriesRow.id)
    query = query.order_by(*NEWEST, *order).options(defer(SeriesRow.sheet))
    found, has_more = _page(session, query, search)
    return Results([Found(study, series) for study, series in found], has_more)


def search_instances(session: Session, search: Search) -> Results:
    """Return the instances that meet every key."""
    found, has_more = _page(session, _instances(search), search)
    return Results(_with_parents(session, found), has_more)


def find_instances(
    session: Session,
    tenant_id: UUID,
    study_uid: str,
    series_uid: str | None = None,
    sop_uid: str | None = None,
) -> list[FoundInstance]:
    """Return every instance of a study or of a series, or the one of a UID."""
    query = _instances(Search(tenant_id, study_uid=study_uid, series_uid=series_uid))
    if sop_uid is not None:
        query = query.where(InstanceRow.sop_instance_uid == sop_uid)
    return _with_parents(session, session.execute(query).all())


def is_known(
    session: Session, tenant_id: UUID, study_uid: str, series_uid: str | None = None
) -> bool:
    """Return whether a tenant has a study, or a series of it."""
    query = select(StudyRow.id).where(
        StudyRow.tenant_id == tenant_id, StudyRow.study_uid == study_uid
    )
    if series_uid is not None:
        query = query.join(SeriesRow, SeriesRow.study_id == StudyRow.id)
        query = query.where(SeriesRow.series_uid == series_uid)
    return session.scalar(query.limit(1)) is not None


def _instances(search: Search) -> Query:
    query = _with_series(select(StudyRow.id, SeriesRow.id, InstanceRow))
    query = query.join(InstanceRow, InstanceRow.series_id == SeriesRow.id)
    query = _narrow(query, search).where(is_first(), ~newer_instance())
    return query.order_by(*NEWEST, Upload.created_at.desc(), Upload.id, InstanceRow.id)


def _with_parents(session: Session, found: Sequence[Any]) -> list[FoundInstance]:
    # Read once each: with every instance of a long series they would be most of what is sent.
    studies = session.scalars(
        select(StudyRow).where(StudyRow.id.in_({study_id for study_id, _, _ in found}))
    )
    series = session.scalars(
        select(SeriesRow)
        .where(SeriesRow.id.in_({series_id for _, series_id, _ in found}))
        .options(defer(SeriesRow.sheet))
    )
    study_of, series_of = {row.id: row for row in studies}, {row.id: row for row in series}
    return [FoundInstance(study_of[one], series_of[two], three) for one, two, three in found]


def _with_series(query: Query) -> Query:
    query = query.join(Upload, same_study(Upload, StudyRow))
    return query.join(SeriesRow, SeriesRow.study_id == Upload.id)


def _narrow(query: Query, search: Search) -> Query:
    conditions = [KEYS[keyword](match) for keyword, match in search.keys.items()]
    if search.study_uid is not None:
        conditions.append(StudyRow.study_uid == search.study_uid)
    if search.series_uid is not None:
        conditions.append(SeriesRow.series_uid == search.series_uid)
    return query.where(StudyRow.tenant_id == search.tenant_id, ~newer_upload(), *conditions)


def _page(session: Session, query: Query, search: Search) -> tuple[Sequence[Any], bool]:
    # One row more than asked for tells whether there are others.
    found = session.execute(query.limit(search.limit + 1).offset(search.offset)).all()
    return found[: search.limit], len(found) > search.limit
