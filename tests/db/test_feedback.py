from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.feedback import LONGEST_COMMENT, Word, newest_words, say, words_on
from db.regrades import regrade_report
from db.reports import report_for
from db.session import Sessions
from db.tables import FeedbackRow, ReportRow, TenantRow
from db.users import add_user
from hilum.errors import InvalidRequest
from hilum.grading import MOSMED, Grade, Thresholds, Verdict
from tests.db.factories import finished_job

STRICT = Thresholds("strict-1", 0.005, (0.05, 0.50, 0.75), Grade.CT_2, 0.05, 0.003, "A test.")
"""A tenth of lung is Alarming by these, and Mild by those that ship."""

AGREES = Word(agrees=True)
ALARMING = Word(agrees=False, verdict=Verdict.ALARMING, comment="Both lower lobes.")


@pytest.fixture
def report(sessions: Sessions, tenant: TenantRow) -> ReportRow:
    """A report that says Mild."""
    with sessions.begin() as session:
        job = finished_job(session, tenant.id, share=0.1)
        return report_for(session, tenant.id, job.id)


def word_by(session: Session, report: ReportRow, word: Word) -> UUID:
    user = add_user(session, f"reader-{uuid4()}")
    session.flush()
    say(session, report, user.id, word, seen=report.verdict)
    return user.id


def test_word_is_kept_with_what_was_judged(sessions: Sessions, report: ReportRow) -> None:
    with sessions.begin() as session:
        word_by(session, session.merge(report), ALARMING)

    with sessions.begin() as session:
        [row] = words_on(session, report.id)
    assert (row.agrees, row.verdict, row.comment) == (False, "Alarming", "Both lower lobes.")
    assert (row.judged_verdict, row.thresholds) == ("Mild", MOSMED.version)
    assert (row.network, row.pipeline) == (report.network, report.pipeline)
    assert row.tenant_id == report.tenant_id


def test_what_was_judged_stays_when_the_report_is_graded_anew(
    sessions: Sessions, report: ReportRow
) -> None:
    with sessions.begin() as session:
        user_id = word_by(session, session.merge(report), AGREES)

    with sessions.begin() as session:
        row = regrade_report(session, report.tenant_id, report.job_id, STRICT, by="a test")
        say(session, row, user_id, AGREES, seen=row.verdict)

    with sessions.begin() as session:
        said = [(row.judged_verdict, row.thresholds) for row in words_on(session, report.id)]
    assert said == [("Alarming", STRICT.version), ("Mild", MOSMED.version)]


def test_newest_word_of_each_reader_counts_and_the_others_are_kept(
    sessions: Sessions, report: ReportRow
) -> None:
    with sessions.begin() as session:
        report = session.merge(report)
        one = word_by(session, report, AGREES)
        other = word_by(session, report, AGREES)
        say(session, report, one, ALARMING, seen="Mild")

        words = words_on(session, report.id)

    assert len(words) == 3
    assert [(row.user_id, row.agrees) for row in newest_words(words)] == [
        (one, False),
        (other, True),
    ]


def test_word_said_twice_is_kept_once(sessions: Sessions, report: ReportRow) -> None:
    with sessions.begin() as session:
        report = session.merge(report)
        user_id = word_by(session, report, ALARMING)

        assert say(session, report, user_id, ALARMING, seen="Mild") is None
        assert say(session, report, user_id, AGREES, seen="Mild") is not None
        assert say(session, report, user_id, ALARMING, seen="Mild") is not None

        assert len(words_on(session, report.id)) == 3


def test_same_verdict_is_no_disagreement(sessions: Sessions, report: ReportRow) -> None:
    mild = Word(agrees=False, verdict=Verdict.MILD)

    with sessions.begin() as session, pytest.raises(InvalidRequest, match="Mild already"):
        word_by(session, session.merge(report), mild)


def test_verdict_that_changed_since_it_was_seen_is_not_judged(
    sessions: Sessions, report: ReportRow
) -> None:
    with sessions.begin() as session:
        report = session.merge(report)
        user_id = word_by(session, report, ALARMING)

        with pytest.raises(InvalidRequest, match="says Mild now"):
            say(session, report, user_id, AGREES, seen="Alarming")

        assert len(words_on(session, report.id)) == 1


def test_reader_who_disagrees_need_not_name_a_verdict(
    sessions: Sessions, report: ReportRow
) -> None:
    with sessions.begin() as session:
        word_by(session, session.merge(report), Word(agrees=False))

        [row] = words_on(session, report.id)
    assert (row.agrees, row.verdict) == (False, None)


def test_comment_is_kept_without_the_space_around_it() -> None:
    word = Word.of(agrees=True, verdict=None, comment="  Seen.\r\nTwice. \n")

    assert word == Word(agrees=True, comment="Seen.\nTwice.")


def test_empty_comment_is_none() -> None:
    assert Word.of(agrees=True, verdict=None, comment=" \n ") == AGREES


def test_comment_as_long_as_may_be_is_taken() -> None:
    comment = "ä" * LONGEST_COMMENT

    assert Word.of(agrees=True, verdict=None, comment=comment).comment == comment


@pytest.mark.parametrize(
    ("agrees", "verdict", "comment", "match"),
    [
        (True, Verdict.MILD, "", "Another verdict"),
        (True, None, "a" * (LONGEST_COMMENT + 1), "2001 characters, expected at most 2000"),
        (True, None, "Nobody\0", "code 0"),
    ],
)
def test_word_that_cannot_be_meant_is_refused(
    agrees: bool,  # noqa: FBT001 - a case of the table
    verdict: Verdict | None,
    comment: str,
    match: str,
) -> None:
    with pytest.raises(InvalidRequest, match=match) as refused:
        Word.of(agrees=agrees, verdict=verdict, comment=comment)

    assert "Nobody" not in refused.value.message


def test_database_keeps_no_agreement_that_corrects(sessions: Sessions, report: ReportRow) -> None:
    with (
        pytest.raises(IntegrityError, match="only_disagreement_corrects"),
        sessions.begin() as session,
    ):
        word_by(session, session.merge(report), Word(agrees=True, verdict=Verdict.ALARMING))


def test_words_go_with_their_report(sessions: Sessions, report: ReportRow) -> None:
    with sessions.begin() as session:
        row = session.merge(report)
        word_by(session, row, AGREES)
        for finding in row.findings:
            session.delete(finding)
        session.flush()
        session.delete(row)

    with sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(FeedbackRow)) == 0
