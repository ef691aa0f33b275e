# SPDX-License-Identifier: Apache-2.0
"""Cases: each a job with its study and, once it has succeeded, its report."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Select, and_, func, literal_column, select
from sqlalchemy.orm import Session, selectinload

from db.pages import Conditions, Listing, Page, SortColumns, fetch_page, narrow, version_of
from db.scope import Scope
from db.tables import ArtifactRow, CaseRow, JobRow, ReportRow, StudyRow, TenantRow
from db.words import answering
from hilum.grading import Grade, Verdict
from hilum.jobs import Priority, State

MOST_COUNTED: Final = 10_000
"""Of more it is said that there are more: to count them all would take longer than to list them."""

PICTURE: Final = "thumbnail"
"""Kind of the file that shows a case in a list; results of before there were any have none."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees.

    Attributes:
        scope: hospitals whose cases they see.
        known: hospitals whose patients they know.
    """

    scope: Scope
    known: Scope


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases a list holds; None asks nothing.

    Attributes:
        ids: of these jobs.
        text: words; see `db/words.py`.
        since, until: received at or after, and before.
        finished_since, finished_until: ended at or after, and before.
        error: went wrong with exactly this code; empty with none.
        dated_from, dated_to: study date, both included.
        tenant, scanner, pipeline, state, priority: exactly this one; a tenant by its name.
        network: this one, as `name@version`, or every version of a `name`.
        verdict, grade, review: of the report, exactly this one.
        share_from, share_to: lesion share of lung, 0..1, both included.
    """

    ids: tuple[UUID, ...] | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    finished_since: datetime | None = None
    finished_until: datetime | None = None
    error: str | None = None
    dated_from: date | None = None
    dated_to: date | None = None
    tenant: str | None = None
    scanner: str | None = None
    pipeline: str | None = None
    network: str | None = None
    state: State | None = None
    priority: Priority | None = None
    verdict: Verdict | None = None
    grade: Grade | None = None
    review: bool | None = None
    share_from: float | None = None
    share_to: float | None = None


FILTERS: Final[Conditions] = {
    "ids": CaseRow.job_id.in_,
    "since": CaseRow.received_at.__ge__,
    "until": CaseRow.received_at.__lt__,
    "finished_since": lambda at: SORTS["finished"] >= at,
    # What has not ended sorts before all others.
    "finished_until": lambda at: and_(SORTS["finished"] < at, CaseRow.finished_at.is_not(None)),
    "error": lambda code: CaseRow.job_id.in_(_went_wrong(code)),
    "dated_from": CaseRow.study_date.__ge__,
    "dated_to": CaseRow.study_date.__le__,
    "tenant": lambda name: (
        CaseRow.tenant_id == select(TenantRow.id).where(TenantRow.name == name).scalar_subquery()
    ),
    "scanner": CaseRow.scanner.__eq__,
    "pipeline": CaseRow.pipeline.__eq__,
    "network": version_of(CaseRow.network),
    "state": CaseRow.state.__eq__,
    "priority": CaseRow.priority.__eq__,
    "verdict": CaseRow.verdict.__eq__,
    "grade": CaseRow.grade.__eq__,
    "review": CaseRow.review.__eq__,
    "share_from": CaseRow.lesion_share.__ge__,
    "share_to": CaseRow.lesion_share.__le__,
}

SORTS: Final[SortColumns] = {
    "received": CaseRow.received_at,
    "finished": func.coalesce(
        CaseRow.finished_at,
        literal_column("'1970-01-01 00:00:00+00'::timestamptz", CaseRow.finished_at.type),
    ),
    "study_date": func.coalesce(
        CaseRow.study_date, literal_column("'0001-01-01'::date", CaseRow.study_date.type)
    ),
    "lesion_share": func.coalesce(
        CaseRow.lesion_share, literal_column("-1", CaseRow.lesion_share.type)
    ),
}
"""What has no such value sorts before all others; a bare NULL has no place in a keyset."""


@dataclass(frozen=True, slots=True)
class Case:
    """A job with its study and, where there is one, its report.

    Attributes:
        row: what lists say of it.
        tenant: its hospital's name.
        is_known: whether its patient may be named.
        has_picture: whether a small one of it was kept.
    """

    row: CaseRow
    tenant: str
    is_known: bool
    has_picture: bool

    @property
    def job(self) -> JobRow:
        """The job."""
        return self.row.job

    @property
    def study(self) -> StudyRow:
        """What was sent."""
        return self.row.job.study

    @property
    def report(self) -> ReportRow | None:
        """What was found, without its document."""
        return self.row.report


@dataclass(frozen=True, slots=True)
class Search:
    """The cases that somebody asks for; what they typed is looked up once, whatever is asked of them.

    Attributes:
        sight: what they see.
        query: finds them.
    """

    sight: Sight
    query: Select[CaseRow]


def search(session: Session, sight: Sight, chosen: CaseFilter) -> Search:
    """Return the cases that somebody sees and a filter holds."""
    seen = select(CaseRow).where(sight.scope.holds(CaseRow.tenant_id))
    query = narrow(seen, chosen, FILTERS)
    if chosen.text is not None:
        query = answering(session, query, chosen.text, sight.scope, known=sight.known)
    return Search(sight, query)


def list_cases(session: Session, wanted: Search, page: Page) -> Listing[Case]:
    """Return one page of cases.

    Raises:
        InvalidRequest: the page is malformed.
    """
    query = wanted.query.options(
        # By their ids once the page is known: joined, they would be read for rows that are sorted out.
        selectinload(CaseRow.job).joinedload(JobRow.study),
        selectinload(CaseRow.report).defer(ReportRow.document),
    )
    found = fetch_page(session, query, page, columns=SORTS, id_column=CaseRow.job_id)
    return Listing(_cases(session, wanted.sight, found.rows), found.next_cursor)


def count_cases(session: Session, wanted: Search) -> int:
    """Return how many cases a list holds; one more than `MOST_COUNTED` stands for any number above."""
    few = wanted.query.with_only_columns(CaseRow.job_id).limit(MOST_COUNTED + 1)
    return session.scalars(select(func.count()).select_from(few.subquery())).one()


def count_by_hospital(session: Session, wanted: Search) -> dict[UUID, int]:
    """Return how many cases of each hospital a list holds."""
    query = wanted.query.with_only_columns(CaseRow.tenant_id, func.count())
    return dict(session.execute(query.group_by(CaseRow.tenant_id)).all())


def _went_wrong(code: str) -> Select[UUID]:
    # What went wrong is few, and has an index of its own.
    wrong = select(JobRow.id).where(JobRow.state.in_((State.FAILED, State.QUARANTINED)))
    return wrong.where(JobRow.error_code == code if code else JobRow.error_code.is_(None))


def _cases(session: Session, sight: Sight, rows: list[CaseRow]) -> list[Case]:
    ids = {row.tenant_id for row in rows}
    names = dict(
        session.execute(select(TenantRow.id, TenantRow.name).where(TenantRow.id.in_(ids))).all()
    )
    pictured = _pictured(session, rows)
    return [
        Case(
            row,
            tenant=names[row.tenant_id],
            is_known=row.tenant_id in sight.known,
            has_picture=row.job_id in pictured,
        )
        for row in rows
    ]


def _pictured(session: Session, rows: list[CaseRow]) -> set[UUID]:
    of_jobs = ArtifactRow.job_id.in_([row.job_id for row in rows])
    kept = select(ArtifactRow.job_id).where(of_jobs, ArtifactRow.kind == PICTURE)
    return set(session.scalars(kept))
