# SPDX-License-Identifier: Apache-2.0
"""Reports graded anew by other thresholds: foretold, one by one, and all of them bit by bit."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Final, Self
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from db.reports import assessed, report_for
from db.scope import EVERYTHING, Scope
from db.steps import record
from db.tables import ReportRow, ThresholdsUseRow, now
from db.thresholds import current_use, list_thresholds, thresholds_named
from hilum.grading import MOSMED, Assessment, Grade, Thresholds, assess, verdict_of

CHUNK: Final = 200
"""Reports read at a time; a document of a long series takes tens of kilobytes."""

BY_COMMAND: Final = "command"
"""Who asked, where nobody came by the API."""


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of all reports of one grade and verdict that get the same new ones.

    Attributes:
        before, after: grade and verdict.
        count: of the reports.
    """

    before: tuple[str, str]
    after: tuple[str, str]
    count: int

    @property
    def is_other_verdict(self) -> bool:
        """Whether the ward would hear something else."""
        return self.before[1] != self.after[1]


@dataclass(frozen=True, slots=True)
class Regraded:
    """A report whose grade or thresholds changed.

    Attributes:
        job_id: whose report.
        before, after: thresholds, grade and verdict.
    """

    job_id: UUID
    before: tuple[str, str, str]
    after: tuple[str, str, str]

    @property
    def verdict_changed(self) -> bool:
        """Whether the ward would hear something else."""
        return self.before[-1] != self.after[-1]


@dataclass(frozen=True, slots=True)
class _Cuts:
    """The thresholds to use, and all that reports may have been graded by before."""

    new: Thresholds
    known: Mapping[str, Thresholds]

    @classmethod
    def of(cls, session: Session, new: Thresholds) -> Self:
        known = (kept.thresholds for kept in list_thresholds(session))
        return cls(new, {one.version: one for one in known})


# ── Foretold ──────────────────────────────────────────────────────────────────────────────────


def foretell(session: Session, thresholds: Thresholds, scope: Scope = EVERYTHING) -> list[Change]:
    """Return what `regrade` would do, by grade and verdict, from columns alone.

    Args:
        session: one transaction.
        thresholds: the cuts to use; they need not be kept.
        scope: hospitals whose reports are counted.
    """
    # Counted beside each other and not grouped by: how few grades there are, a planner cannot know.
    counts = [func.count().filter(band) for band in _bands(thresholds)]
    now = (ReportRow.grade, ReportRow.verdict)
    otherwise = (ReportRow.thresholds != thresholds.version, scope.holds(ReportRow.tenant_id))
    found = session.execute(select(*now, *counts).where(*otherwise).group_by(*now).order_by(*now))
    return [
        Change((before, verdict), (after, verdict_of(after, thresholds)), count)
        for before, verdict, *each in found
        for after, count in zip(Grade, each, strict=True)
        if count
    ]


def _bands(thresholds: Thresholds) -> list[ColumnElement[bool]]:
    """Return the condition of each grade, as `hilum.grading.grade_share` has it; a test compares them."""
    cuts = (0.0, thresholds.finding_from, *thresholds.bins)
    share = ReportRow.lesion_share
    upper = [share < cut for cut in cuts[1:]]
    return [and_(share >= cut, *upper[number : number + 1]) for number, cut in enumerate(cuts)]


def count_otherwise(session: Session, version: str, scope: Scope = EVERYTHING) -> int:
    """Return how many reports were graded by other thresholds."""
    counted = select(func.count()).select_from(ReportRow)
    otherwise = (ReportRow.thresholds != version, scope.holds(ReportRow.tenant_id))
    return session.scalars(counted.where(*otherwise)).one()


# ── Done ──────────────────────────────────────────────────────────────────────────────────────


def regrade(
    session: Session, thresholds: Thresholds, scope: Scope = EVERYTHING, *, by: str = BY_COMMAND
) -> Iterator[Regraded]:
    """Grade every report that was graded by other thresholds, and yield what changed.

    Args:
        session: one transaction; nothing is kept unless it commits.
        thresholds: the cuts to use.
        scope: hospitals whose reports they are.
        by: who asked.
    """
    while changed := _regrade_some(session, thresholds, scope, by=by):
        yield from changed
        # A whole archive of documents must not gather in memory.
        session.expunge_all()


def regrade_report(
    session: Session, tenant_id: UUID, job_id: UUID, thresholds: Thresholds, *, by: str
) -> ReportRow:
    """Grade the report of a tenant's job, unless these thresholds did; return its row.

    Raises:
        UnknownJob: there is no such job, or it is another tenant's.
        ReportNotReady: the job has not ended.
        UnknownReport: the job has ended without one.
    """
    row = report_for(session, tenant_id, job_id, is_locked=True)
    if row.thresholds != thresholds.version:
        _regrade_one(session, row, _Cuts.of(session, thresholds), by=by)
    return row


def _regrade_some(
    session: Session, thresholds: Thresholds, scope: Scope, *, by: str
) -> list[Regraded]:
    rows = _graded_otherwise(session, thresholds.version, scope)
    cuts = _Cuts.of(session, thresholds)
    changed = [_regrade_one(session, row, cuts, by=by) for row in rows]
    session.flush()
    return changed


def _graded_otherwise(session: Session, version: str, scope: Scope) -> list[ReportRow]:
    # Two ranges of an index, where "other than" would read all that is done already.
    for otherwise in (ReportRow.thresholds < version, ReportRow.thresholds > version):
        query = (
            select(ReportRow)
            .where(otherwise, scope.holds(ReportRow.tenant_id))
            .order_by(ReportRow.thresholds, ReportRow.id)
            .limit(CHUNK)
            # Another who does the same has these.
            .with_for_update(skip_locked=True, of=ReportRow)
        )
        if rows := list(session.scalars(query)):
            return rows
    return []


def _regrade_one(session: Session, row: ReportRow, cuts: _Cuts, *, by: str) -> Regraded:
    assessment = _assess_anew(row, cuts)
    before = (row.thresholds, row.grade, row.verdict)
    after = (assessment.thresholds, str(assessment.grade), str(assessment.verdict))
    for column, value in assessed(assessment).items():
        setattr(row, column, value)
    # A changed part of a JSON value is only noticed as a new value.
    row.document = row.document | {"assessment": asdict(assessment)}
    record(session, row.job_id, "regraded", {"by": by, "before": before, "after": after})
    return Regraded(row.job_id, before, after)


def _assess_anew(row: ReportRow, cuts: _Cuts) -> Assessment:
    document = row.document
    shares = {
        "share": document["total"]["share"],
        "share_right": document["right"]["share"],
        "share_left": document["left"]["share"],
    }
    # The old thresholds' own sentences go with them; what is left are the pipeline's doubts.
    used = cuts.known.get(row.thresholds)
    said = () if used is None else assess(**shares, thresholds=used).review
    doubts = tuple(text for text in document["assessment"]["review"] if text not in said)
    return assess(**shares, doubts=doubts, thresholds=cuts.new)


# ── All, bit by bit ───────────────────────────────────────────────────────────────────────────


def ask_regrade(session: Session, *, by: str) -> bool:
    """Have every older report graded by the present thresholds; false where that is asked already.

    The upkeep does it, some at a time; a job that runs meanwhile keeps those it began with.
    """
    use = current_use(session)
    if use is None:
        use = ThresholdsUseRow(version=MOSMED.version, chosen_by=by)
        session.add(use)
    if is_asked(use):
        return False
    use.regrade_by, use.regraded_at = by, None
    return True


def is_asked(use: ThresholdsUseRow) -> bool:
    """Whether older reports are being graded by these thresholds."""
    return use.regrade_by is not None and use.regraded_at is None


def regrade_more(session: Session) -> int:
    """Grade some of what was asked for, and return how many reports; 0 where nothing is left."""
    use = current_use(session)
    if use is None or use.regrade_by is None or use.regraded_at is not None:
        return 0
    thresholds = thresholds_named(session, use.version)
    changed = _regrade_some(session, thresholds, EVERYTHING, by=use.regrade_by)
    if not changed and not _is_any_left(session, use.version):
        use.regraded_at = now()
    return len(changed)


def _is_any_left(session: Session, version: str) -> bool:
    sides = (ReportRow.thresholds < version, ReportRow.thresholds > version)
    return any(session.scalar(select(exists().where(side))) for side in sides)
