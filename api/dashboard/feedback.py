# SPDX-License-Identifier: Apache-2.0
"""What readers say of a report: part of the page of its case, and the form that takes it."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Final
from uuid import UUID

from apiflask import APIBlueprint
from flask import redirect, request, url_for
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from api.parts import parts
from api.person import needs, note, person
from db.feedback import LONGEST_COMMENT, Word, newest_words, say, words_on
from db.jobs import job_in
from db.reports import report_for
from db.tables import FeedbackRow, ReportRow
from hilum.audit import Action
from hilum.errors import InvalidRequest
from hilum.grading import Verdict
from hilum.people import Permission

feedback = APIBlueprint(
    "feedback", __name__, url_prefix="/cases/<uuid:job_id>/feedback", enable_openapi=False
)

RIGHT: Final = "right"
WRONG: Final = "wrong"
"""What a form says beside the name of a verdict: that it is right, or wrong without saying how."""


@dataclass(frozen=True, slots=True)
class Opinions:
    """What `dashboard/feedback.html` shows.

    Attributes:
        report: what is judged.
        words: all that was said, the newest first.
        standing: those of them that count.
        own: what the one who is signed in said last; None where nothing.
        may_judge: whether they may say something.
        may_read: whether they may read comments, which may name the patient.
        longest: characters of a comment.
    """

    report: ReportRow
    words: list[FeedbackRow]
    standing: list[FeedbackRow]
    own: FeedbackRow | None
    may_judge: bool
    may_read: bool
    longest: ClassVar[int] = LONGEST_COMMENT

    @property
    def others(self) -> list[str]:
        """The verdicts that it could have been."""
        return [verdict for verdict in Verdict if verdict != self.report.verdict]

    @property
    def chosen(self) -> str:
        """What the form shows as chosen: what they said last of this very verdict."""
        if self.own is None or self.own.judged_verdict != self.report.verdict:
            return ""
        return RIGHT if self.own.agrees else self.own.verdict or WRONG


def opinions_on(session: Session, report: ReportRow) -> Opinions:
    """Return what was said of a report, as far as the one who is signed in may know it."""
    words = words_on(session, report.id)
    standing = newest_words(words)
    own = next((word for word in standing if word.user_id == person().user_id), None)
    may_judge, may_read = (
        person().may(permission, report.tenant_id)
        for permission in (Permission.JUDGE, Permission.KNOW_PATIENTS)
    )
    return Opinions(report, words, standing, own, may_judge=may_judge, may_read=may_read)


@feedback.post("")
@needs(Permission.JUDGE)
def give(job_id: UUID) -> Response:
    """Take a reader's word."""
    word = _word()
    with parts().sessions.begin() as session:
        report = _report(session, job_id)
        person().check(Permission.JUDGE, report.tenant_id)
        said = say(session, report, person().user_id, word, seen=request.form.get("seen", ""))
        if said is not None:
            _note(session, said, job_id)
    case = url_for("dashboard.case.show", job_id=job_id, _anchor="feedback")
    return redirect(case, HTTPStatus.SEE_OTHER)


def _report(session: Session, job_id: UUID) -> ReportRow:
    job = job_in(session, person().scope(Permission.SEE), job_id)
    return report_for(session, job.tenant_id, job_id)


def _word() -> Word:
    opinion, comment = request.form.get("opinion", ""), request.form.get("comment", "")
    if opinion in {RIGHT, WRONG}:
        return Word.of(agrees=opinion == RIGHT, verdict=None, comment=comment)
    if opinion not in list(Verdict):
        raise InvalidRequest("Nothing was chosen; say whether the verdict is right, or what it is.")
    return Word.of(agrees=False, verdict=Verdict(opinion), comment=comment)


def _note(session: Session, said: FeedbackRow, job_id: UUID) -> None:
    # Never the comment: it may name the patient.
    detail = {"judged": said.judged_verdict, "agrees": said.agrees, "verdict": said.verdict}
    note(
        session,
        Action.FEEDBACK_GIVEN,
        tenant_id=said.tenant_id,
        subject=job_id,
        detail=detail,
    )
