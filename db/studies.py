# SPDX-License-Identifier: Apache-2.0
"""The questions we ask about studies; every one of them within a tenant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Date, Select, and_, func, insert, literal_column, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session, selectinload

from db.pages import Conditions, Listing, Page, SortColumns, fetch_page, iterate, narrow
from db.session import Sessions
from db.tables import InstanceRow, JobRow, SeriesRow, StudyRow
from hilum.dicom.attributes import Attributes, text_of
from hilum.dicom.quality import Sheet
from hilum.errors import StorageUnavailable, UnknownStudy
from hilum.storage import StoredFile
from hilum.study import Series, Study

MOST_NAMED: Final = 10
"""Ids that an error names; more would fill a screen."""

DATE_OR_FIRST = func.coalesce(StudyRow.study_date, literal_column("'0001-01-01'::date", Date))
"""A study without a date sorts before all others; a bare NULL has no place in a keyset."""

SORTS: SortColumns = {"created_at": StudyRow.created_at, "study_date": DATE_OR_FIRST}


@dataclass(frozen=True, slots=True)
class StudyFilter:
    """Which studies a list holds; None asks nothing.

    Attributes:
        study_uid: exactly this one.
        since, until: received at or after, and before.
        dated_from, dated_to: study date, both included.
    """

    study_uid: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    dated_from: date | None = None
    dated_to: date | None = None


FILTERS: Conditions = {
    "study_uid": StudyRow.study_uid.__eq__,
    "since": StudyRow.created_at.__ge__,
    "until": StudyRow.created_at.__lt__,
    "dated_from": DATE_OR_FIRST.__ge__,
    "dated_to": lambda last: DATE_OR_FIRST.__le__(last) & StudyRow.study_date.is_not(None),
}


def add_study(
    session: Session,
    *,
    study_id: UUID,
    tenant_id: UUID,
    study: Study,
    files: Mapping[str, StoredFile],
    content_sha256: str,
    sheets: Iterable[Sheet] = (),
    attributes: Mapping[str, Attributes] | None = None,
    deidentification: dict[str, Any] | None = None,
) -> StudyRow:
    """Remember a stored study, and return its row.

    Where two uploads of the same bytes race, the loser gets the winner's row: its `id` is then not
    `study_id`, and the loser's files are nobody's.

    Args:
        session: one transaction.
        study_id: chosen by the caller, who stored the files under it.
        tenant_id: who sent it.
        study: the headers.
        files: where each instance is kept, by SOP instance UID.
        content_sha256: hash over the sorted hashes of the instances.
        sheets: what the quality gate found of its series.
        attributes: what each instance is searched by, by SOP instance UID.
        deidentification: what was done to it beforehand.
    """
    known = attributes or {}
    said = next(iter(known.values())).study if known else None
    row: StudyRow | None = session.scalar(
        upsert(StudyRow)
        .values(
            id=study_id,
            tenant_id=tenant_id,
            study_uid=study.study_uid,
            study_date=parse_date(study.study_date),
            patient_id=text_of(said or {}, "PatientID"),
            accession_number=text_of(said or {}, "AccessionNumber"),
            attributes=said,
            deidentification=deidentification,
            content_sha256=content_sha256,
            instance_count=len(files),
            size_bytes=sum(file.size for file in files.values()),
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "content_sha256"])
        .returning(StudyRow)
    )
    if row is None:
        present = find_study(session, tenant_id, content_sha256)
        if present is None:
            raise StorageUnavailable(
                "The same study was purged at this very moment; send it again."
            )
        return present
    found = {sheet.series_uid: sheet.to_json() for sheet in sheets}
    for series in study.series:
        _add_series(session, study_id, series, files, found.get(series.series_uid), known)
    return row


def _add_series(
    session: Session,
    study_id: UUID,
    series: Series,
    files: Mapping[str, StoredFile],
    sheet: dict[str, Any] | None,
    attributes: Mapping[str, Attributes],
) -> None:
    uids = [instance.sop_instance_uid for instance in series.instances]
    row = SeriesRow(
        study_id=study_id,
        series_uid=series.series_uid,
        modality=series.modality,
        description=series.description,
        kernel=series.kernel,
        instance_count=len(uids),
        sheet=sheet,
        attributes=attributes[uids[0]].series if attributes else None,
    )
    session.add(row)
    session.flush()
    # The same instance sent twice is kept once.
    instances = [
        instance_values(row.id, uid, files[uid], attributes.get(uid)) for uid in dict.fromkeys(uids)
    ]
    if instances:
        session.execute(insert(InstanceRow), instances)


def instance_values(
    series_id: UUID, uid: str, file: StoredFile, attributes: Attributes | None
) -> dict[str, Any]:
    """Return the columns of one stored file."""
    return {
        "series_id": series_id,
        "sop_instance_uid": uid,
        "key": file.key,
        "sha256": file.sha256,
        "size_bytes": file.size,
        "attributes": attributes.instance if attributes else None,
    }


def parse_date(value: str) -> date | None:
    """Return a DICOM date; None where it is absent or not one."""
    with suppress(ValueError):
        return date.fromisoformat(value)
    return None


def find_study(session: Session, tenant_id: UUID, content_sha256: str) -> StudyRow | None:
    """Return the study that holds exactly these bytes; it is not purged before the transaction ends."""
    return session.scalar(
        select(StudyRow)
        .where(StudyRow.tenant_id == tenant_id, StudyRow.content_sha256 == content_sha256)
        .with_for_update(read=True, key_share=True)
    )


def study_for(session: Session, tenant_id: UUID, study_id: UUID) -> StudyRow:
    """Return a tenant's study with its series.

    Raises:
        UnknownStudy: there is none, or it is another tenant's.
    """
    wanted = select(StudyRow).where(StudyRow.id == study_id, StudyRow.tenant_id == tenant_id)
    row = session.scalar(wanted.options(selectinload(StudyRow.series)))
    if row is None:
        raise UnknownStudy(f"There is no study {study_id}.")
    return row


def slice_counts(session: Session, tenant_id: UUID, study_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many slices the largest series that was sent has, of each study.

    None of them is purged before the transaction ends.

    Raises:
        UnknownStudy: naming those that there are not, or that are another tenant's.
    """
    asked = (StudyRow.tenant_id == tenant_id, StudyRow.id.in_(study_ids))
    # The lock that their jobs are about to take on them.
    session.execute(select(StudyRow.id).where(*asked).with_for_update(read=True, key_share=True))
    sent = and_(SeriesRow.study_id == StudyRow.id, SeriesRow.job_id.is_(None))
    largest = func.coalesce(func.max(SeriesRow.instance_count), 0)
    query = (
        select(StudyRow.id, largest).outerjoin(SeriesRow, sent).where(*asked).group_by(StudyRow.id)
    )
    found: dict[UUID, int] = dict(session.execute(query).all())
    unknown = [str(study_id) for study_id in study_ids if study_id not in found]
    if unknown:
        more = len(unknown) - MOST_NAMED
        rest = f" and {more} more" if more > 0 else ""
        raise UnknownStudy(f"There is no study {', '.join(unknown[:MOST_NAMED])}{rest}.")
    return found


def list_studies(
    session: Session, tenant_id: UUID, chosen: StudyFilter, page: Page
) -> Listing[StudyRow]:
    """Return one page of a tenant's studies with their series.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = select(StudyRow).where(StudyRow.tenant_id == tenant_id)
    query = narrow(query, chosen, FILTERS).options(selectinload(StudyRow.series))
    return fetch_page(session, query, page, columns=SORTS, id_column=StudyRow.id)


def iterate_studies(
    sessions: Sessions, tenant_id: UUID, chosen: StudyFilter, sort: str = "-created_at"
) -> Iterator[StudyRow]:
    """Yield every study of a list, for a file of unknown length."""
    return iterate(
        sessions, lambda session, page: list_studies(session, tenant_id, chosen, page), sort
    )


def instance_keys(session: Session, study_id: UUID) -> list[InstanceRow]:
    """Return the stored files of a study, as they were sent."""
    return list(session.scalars(_sent(study_id).order_by(InstanceRow.id)))


def instance_by_uid(session: Session, study_id: UUID, sop_uid: str) -> InstanceRow | None:
    """Return the stored file of one instance of a study."""
    of_uid = InstanceRow.sop_instance_uid == sop_uid
    return session.scalar(_sent(study_id).where(of_uid).limit(1))


def keys_by_uid(session: Session, study_id: UUID) -> dict[str, str]:
    """Return where the instances of a study are stored, by SOP instance UID."""
    query = _sent(study_id).with_only_columns(InstanceRow.sop_instance_uid, InstanceRow.key)
    return dict(session.execute(query).all())


def _sent(study_id: UUID) -> Select[InstanceRow]:
    of_study = select(InstanceRow).join(SeriesRow).where(SeriesRow.study_id == study_id)
    return of_study.where(SeriesRow.job_id.is_(None))


def newest_study(session: Session, tenant_id: UUID, study_uid: str) -> StudyRow | None:
    """Return a tenant's last upload of a study."""
    of_study = select(StudyRow).where(
        StudyRow.tenant_id == tenant_id, StudyRow.study_uid == study_uid
    )
    last = of_study.order_by(StudyRow.created_at.desc(), StudyRow.id.desc())
    return session.scalar(last.limit(1))


# ── Results as objects of the study ───────────────────────────────────────────────────────────


def add_results(
    session: Session, job: JobRow, objects: Iterable[tuple[Attributes, StoredFile]]
) -> None:
    """Remember objects that a job made, each a series of the study it read."""
    for attributes, file in objects:
        row = SeriesRow(
            study_id=job.study_id,
            job_id=job.id,
            series_uid=text_of(attributes.series, "SeriesInstanceUID") or "",
            modality=text_of(attributes.series, "Modality") or "",
            description=text_of(attributes.series, "SeriesDescription") or "",
            kernel="",
            instance_count=1,
            attributes=attributes.series,
        )
        session.add(row)
        session.flush()
        uid = text_of(attributes.instance, "SOPInstanceUID") or ""
        session.execute(insert(InstanceRow), [instance_values(row.id, uid, file, attributes)])
