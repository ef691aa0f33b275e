# SPDX-License-Identifier: Apache-2.0
"""What readers said of a report: kept word after word, the newest of each reader counts."""

from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from db.tables import FeedbackRow, ReportRow
from hilum.errors import InvalidRequest
from hilum.grading import Verdict

LONGEST_COMMENT: Final = 2000
"""Characters; a page of a book."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a reader says of a verdict.

    Attributes:
        agrees: whether it is right.
        verdict: what it should be; None where it is right, or the reader does not say.
        comment: in their own words, which may name the patient; None without any.
    """

    agrees: bool
    verdict: Verdict | None = None
    comment: str | None = None

    @classmethod
    def of(cls, *, agrees: bool, verdict: Verdict | None, comment: str) -> Self:
        """Return a word as it was typed.

        Raises:
            InvalidRequest: it contradicts itself, or its comment is too long or no text.
        """
        comment = comment.replace("\r\n", "\n").strip()
        if agrees and verdict is not None:
            raise InvalidRequest("Another verdict was given with an agreement, expected none.")
        if len(comment) > LONGEST_COMMENT:
            raise InvalidRequest(
                f"The comment has {len(comment)} characters, expected at most {LONGEST_COMMENT}."
            )
        # PostgreSQL keeps every character but this one.
        if "\0" in comment:
            raise InvalidRequest("The comment has a character of code 0, expected text.")
        return cls(agrees, verdict, comment or None)


def say(
    session: Session, report: ReportRow, user_id: UUID, word: Word, *, seen: str
) -> FeedbackRow | None:
    """Keep a reader's word on a report; None where it is what they said last.

    Args:
        session: one transaction.
        report: what is judged.
        user_id: the reader.
        word: what they say.
        seen: the verdict that they had before them.

    Raises:
        InvalidRequest: the verdict is another one by now, or they disagree and name the very one.
    """
    # Two presses of the button say one thing: the second waits here for the first.
    session.execute(select(ReportRow.id).where(ReportRow.id == report.id).with_for_update())
    session.refresh(report, ["verdict", "thresholds"])
    if seen != report.verdict:
        raise InvalidRequest(
            f"The report was graded anew since you opened it and says {report.verdict} now. Look at it"
            " again."
        )
    if word.verdict is not None and word.verdict == report.verdict:
        raise InvalidRequest(
            f"The verdict is {report.verdict} already; a reader who disagrees names another,"
            " or none."
        )
    last = session.scalar(_of(report.id).where(FeedbackRow.user_id == user_id).limit(1))
    if last is not None and _says(last, word, report):
        return None
    row = FeedbackRow(
        tenant_id=report.tenant_id,
        report_id=report.id,
        user_id=user_id,
        agrees=word.agrees,
        verdict=word.verdict,
        comment=word.comment,
        pipeline=report.pipeline,
        network=report.network,
        judged_verdict=report.verdict,
        thresholds=report.thresholds,
    )
    session.add(row)
    session.flush()
    return row


def words_on(session: Session, report_id: UUID) -> list[FeedbackRow]:
    """Return what was said of a report, the newest first."""
    return list(session.scalars(_of(report_id)))


def newest_words(words: list[FeedbackRow]) -> list[FeedbackRow]:
    """Return the words that count, of those on one report, the newest first: one of each reader."""
    newest: dict[UUID, FeedbackRow] = {}
    for word in words:
        newest.setdefault(word.user_id, word)
    return list(newest.values())


def _says(row: FeedbackRow, word: Word, report: ReportRow) -> bool:
    said = (row.agrees, row.verdict, row.comment)
    judged = (row.judged_verdict, row.thresholds)
    return said == (word.agrees, word.verdict, word.comment) and judged == (
        report.verdict,
        report.thresholds,
    )


def _of(report_id: UUID) -> Select[FeedbackRow]:
    return (
        select(FeedbackRow)
        .where(FeedbackRow.report_id == report_id)
        .order_by(FeedbackRow.id.desc())
        .options(joinedload(FeedbackRow.user))
    )
