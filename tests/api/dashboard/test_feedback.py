"""What readers say of a report: who may say it, what is kept of it, and who reads the comment."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from db.regrades import regrade_report
from db.session import Sessions
from db.tables import AuditRow, FeedbackRow, TenantRow
from hilum.audit import Action
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import finished_job
from tests.db.test_feedback import STRICT

NAMES_THE_PATIENT = "Frau Novak, born 1950"


@pytest.fixture
def case(sessions: Sessions, tenant: TenantRow) -> str:
    """The address of the feedback on a report that says Mild."""
    with sessions.begin() as session:
        return f"/cases/{finished_job(session, tenant.id, share=0.1).id}/feedback"


def page_of(visitor: Visitor, case: str) -> TestResponse:
    """The page of the case, which shows what was said."""
    return visitor.get(case.removesuffix("/feedback"))


def opinion(chosen: str, comment: str = "", seen: str = "Mild") -> dict[str, str]:
    return {"opinion": chosen, "comment": comment, "seen": seen}


def kept(sessions: Sessions) -> list[tuple[bool, str | None, str | None]]:
    with sessions.begin() as session:
        rows = session.scalars(select(FeedbackRow).order_by(FeedbackRow.id))
        return [(row.agrees, row.verdict, row.comment) for row in rows]


def audited(sessions: Sessions) -> list[AuditRow]:
    with sessions.begin() as session:
        given = select(AuditRow).where(AuditRow.action == Action.FEEDBACK_GIVEN)
        return list(session.scalars(given))


def test_reader_agrees_and_is_back_at_the_case(
    reader: Visitor, case: str, sessions: Sessions
) -> None:
    answer = reader.post(case, opinion("right"))

    assert answer.status_code == 303
    assert answer.headers["Location"] == case.replace("/feedback", "#feedback")
    assert kept(sessions) == [(True, None, None)]
    assert "rita.reader agrees with Mild" in words(page_of(reader, case))


def test_reader_corrects_the_verdict_and_changes_their_mind(
    reader: Visitor, case: str, sessions: Sessions
) -> None:
    reader.post(case, opinion("Alarming", "Both lower lobes."))
    reader.post(case, opinion("wrong"))

    said = words(page_of(reader, case))
    assert kept(sessions) == [(False, "Alarming", "Both lower lobes."), (False, None, None)]
    assert "rita.reader disagrees with Mild" in said
    assert "says Alarming rather than Mild" in said
    assert said.count("said something else later") == 1


def test_form_shows_what_the_reader_said_last(reader: Visitor, case: str) -> None:
    reader.post(case, opinion("Alarming"))

    page = page_of(reader, case).text.partition('id="feedback"')[2].partition("</section>")[0]

    assert 'value="Alarming" checked' in page
    assert page.count("checked") == 1
    assert "Change what I said" in page


def test_form_sent_twice_is_kept_and_audited_once(
    reader: Visitor, case: str, sessions: Sessions
) -> None:
    for _ in range(2):
        assert reader.post(case, opinion("right")).status_code == 303

    assert len(kept(sessions)) == len(audited(sessions)) == 1


def test_audit_log_has_the_word_and_not_the_comment(
    reader: Visitor, case: str, sessions: Sessions, tenant: TenantRow
) -> None:
    reader.post(case, opinion("Alarming", NAMES_THE_PATIENT))

    [entry] = audited(sessions)
    assert (entry.by, entry.tenant_id) == ("user rita.reader", tenant.id)
    assert entry.subject == case.split("/")[2]
    assert entry.detail == {"judged": "Mild", "agrees": False, "verdict": "Alarming"}


def test_comment_goes_to_no_log(
    reader: Visitor, case: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    reader.post(case, opinion("Alarming", NAMES_THE_PATIENT))
    reader.post(case, opinion("nonsense", NAMES_THE_PATIENT))

    captured = capsys.readouterr()
    assert "Novak" not in captured.out + captured.err + caplog.text


def test_comment_is_read_by_who_may_know_the_patient(
    reader: Visitor, operator: Visitor, case: str
) -> None:
    reader.post(case, opinion("right", NAMES_THE_PATIENT))

    assert NAMES_THE_PATIENT in words(page_of(reader, case))
    assert "Novak" not in page_of(operator, case).text
    assert "There is a comment" in words(page_of(operator, case))


def test_markup_in_a_comment_is_text(reader: Visitor, case: str) -> None:
    reader.post(case, opinion("right", "<script>alert(1)</script>"))

    assert "<script>alert" not in page_of(reader, case).text
    assert "&lt;script&gt;alert(1)" in page_of(reader, case).text


def test_operator_sees_words_and_may_not_judge(
    operator: Visitor, case: str, sessions: Sessions
) -> None:
    assert "Is the verdict right?" not in words(page_of(operator, case))

    answer = operator.post(case, opinion("right"))

    assert answer.status_code == 403
    assert kept(sessions) == []


def test_report_of_another_hospital_is_unknown(
    outsider: Visitor, case: str, sessions: Sessions
) -> None:
    assert page_of(outsider, case).status_code == 404
    assert outsider.post(case, opinion("right")).status_code == 404
    assert kept(sessions) == []


def test_who_is_not_signed_in_is_led_to_the_door(nobody: Visitor, case: str) -> None:
    assert page_of(nobody, case).status_code == 303


def test_form_of_another_sign_in_is_refused(reader: Visitor, case: str, sessions: Sessions) -> None:
    assert reader.post(case, opinion("right"), token="0" * 64).status_code == 403
    assert kept(sessions) == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Nothing was chosen"),
        (opinion(""), "Nothing was chosen"),
        (opinion("'; DROP TABLE feedback"), "Nothing was chosen"),
        (opinion("Mild"), "Mild already"),
        (opinion("right", "a" * 2001), "2001 characters"),
        (opinion("right", "a\0b"), "code 0"),
        (opinion("right", seen="Alarming"), "graded anew"),
        (opinion("right", seen="<b>" * 50), "graded anew"),
    ],
)
def test_form_that_makes_no_sense_is_explained_and_kept_nowhere(
    reader: Visitor, case: str, sessions: Sessions, form: dict[str, str], said: str
) -> None:
    answer = reader.post(case, form)

    assert answer.status_code == 422
    assert said in words(answer)
    assert kept(sessions) == []


def test_verdict_that_was_graded_anew_meanwhile_is_not_judged(
    reader: Visitor, case: str, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job_id = UUID(case.split("/")[2])
        regrade_report(session, tenant.id, job_id, STRICT, by="a test")

    answer = reader.post(case, opinion("right"))

    assert answer.status_code == 422
    assert "says Alarming now" in words(answer)


def test_case_without_a_report_has_nothing_to_judge(reader: Visitor) -> None:
    assert reader.post(f"/cases/{uuid4()}/feedback", opinion("right")).status_code == 404
    assert reader.post("/cases/nonsense/feedback", opinion("right")).status_code == 404
