"""Thresholds by page: foretold, kept, used, and older reports brought after."""

from typing import Any

import pytest
from sqlalchemy import select

from db.regrades import regrade_more
from db.session import Sessions
from db.tables import AuditRow, ReportRow, TenantRow
from db.thresholds import current_thresholds, list_thresholds, thresholds_named
from hilum.grading import MOSMED, Grade, Thresholds
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import finished_job

PAGE = "/admin/thresholds"

FORM = {
    "version": "ward-7.1",
    "finding_from": "0.7",
    "bin_2": "7",
    "bin_3": "33,3",
    "bin_4": "75",
    "alarming_from": "CT-2",
    "review_margin": "5",
    "finding_margin": "0.3",
    "source": "The ward's own choice.",
}
OWN = Thresholds(
    "ward-7.1", 0.007, (0.07, 0.333, 0.75), Grade.CT_2, 0.05, 0.003, "The ward's own choice."
)


@pytest.fixture
def reports(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for share in (0.0, 0.1, 0.1, 0.6):
            finished_job(session, tenant.id, share=share)


@pytest.mark.usefixtures("reports")
def test_what_a_new_set_would_change_is_shown_before_anything_is_kept(
    admin: Visitor, sessions: Sessions
) -> None:
    page = admin.post(f"{PAGE}/preview", FORM)

    assert "Of 4 reports that other thresholds graded, 2 would have another verdict" in words(page)
    assert "Mild CT-1 Alarming changes CT-2 2" in words(page)
    with sessions.begin() as session:
        assert [one.thresholds for one in list_thresholds(session)] == [MOSMED]


@pytest.mark.usefixtures("reports")
def test_set_is_kept_used_and_older_reports_follow(admin: Visitor, sessions: Sessions) -> None:
    kept = [admin.post(PAGE, FORM) for _ in range(2)]
    with sessions.begin() as session:
        before = (current_thresholds(session), thresholds_named(session, "ward-7.1"))
    used = [admin.post(f"{PAGE}/ward-7.1/use") for _ in range(2)]
    asked = [admin.post(f"{PAGE}/ward-7.1/regrade") for _ in range(2)]
    waits = words(admin.get(f"{PAGE}/ward-7.1/progress"))
    with sessions.begin() as session:
        while regrade_more(session):
            pass

    done = words(admin.get(f"{PAGE}/ward-7.1"))

    assert {answer.status_code for answer in (*kept, *used, *asked)} == {303}
    assert before == (MOSMED, OWN)
    assert "4 are still to be graded" in waits
    assert "All are graded by these thresholds." in done
    with sessions.begin() as session:
        verdicts = sorted(session.scalars(select(ReportRow.verdict)))
        told = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    assert verdicts == ["Alarming", "Alarming", "Alarming", "No finding"]
    actions = [one.action for one in told if one.action.startswith(("thresholds", "job"))]
    assert actions == ["thresholds.added", "thresholds.chosen", "job.regraded"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": ""}, "is empty"),
        ({"version": "Ward 7"}, "A version is"),
        ({"version": "<b>bold</b>"}, "A version is"),
        ({"version": MOSMED.version}, "is taken"),
        ({"finding_from": "a"}, "expected percent"),
        ({"finding_from": "NaN"}, "rise"),
        ({"finding_from": "1e-999999999"}, "rise"),
        ({"bin_4": "1e999999999"}, "percent"),
        ({"bin_4": "Infinity"}, "rise"),
        ({"bin_2": "80"}, "rise"),
        ({"bin_3": "3" * 17}, "one line of at most 16"),
        ({"alarming_from": "CT-0"}, "never Alarming"),
        ({"alarming_from": "CT-9"}, "one of the grades"),
        ({"review_margin": "50"}, "A margin is"),
        ({"source": "\x00"}, "one line of at most 1000"),
    ],
)
def test_set_that_makes_no_sense_is_said_so_and_what_was_typed_stays(
    admin: Visitor, sessions: Sessions, changes: dict[str, str], sentence: str
) -> None:
    for address in (f"{PAGE}/preview", PAGE):
        answer = admin.post(address, FORM | changes)

        assert answer.status_code == 422
        assert sentence in words(answer)
        assert "<b>bold" not in answer.text
    assert 'value="33,3"' in answer.text or "bin_3" in changes
    with sessions.begin() as session:
        assert len(list_thresholds(session)) == 1


def test_other_numbers_under_the_same_name_are_refused(admin: Visitor) -> None:
    admin.post(PAGE, FORM)

    answer = admin.post(PAGE, FORM | {"bin_2": "8"})

    assert answer.status_code == 422
    assert "other numbers are a new version" in words(answer)


def test_script_in_a_source_is_text(admin: Visitor) -> None:
    admin.post(PAGE, FORM | {"source": "<script>alert(1)</script>"})

    for page in (f"{PAGE}/ward-7.1", PAGE):
        assert "<script>alert" not in admin.get(page).text


@pytest.mark.parametrize("version", ["lenient", "a%00b", "%F0%9F%98%80"])
def test_unknown_version_is_said_to_be_unknown(admin: Visitor, version: str) -> None:
    assert admin.get(f"{PAGE}/{version}").status_code == 422
    assert admin.post(f"{PAGE}/{version}/use").status_code == 422
    assert admin.post(f"{PAGE}/{version}/regrade").status_code == 422


def test_reports_are_graded_anew_by_what_is_used_alone(admin: Visitor) -> None:
    admin.post(PAGE, FORM)

    answer = admin.post(f"{PAGE}/ward-7.1/regrade")

    assert answer.status_code == 422
    assert "use it for them first" in words(answer)


@pytest.mark.parametrize("who", ["reader", "operator", "chief"])
def test_page_is_for_those_who_administer_everything(
    who: str, request: pytest.FixtureRequest, sessions: Sessions
) -> None:
    visitor: Visitor = request.getfixturevalue(who)
    token = visitor.token()
    shown: list[Any] = [PAGE, f"{PAGE}/{MOSMED.version}", f"{PAGE}/{MOSMED.version}/progress"]
    changed = [PAGE, f"{PAGE}/preview", f"{PAGE}/{MOSMED.version}/use"]

    answers = [visitor.get(page) for page in shown]
    answers += [visitor.post(page, FORM, token=token) for page in changed]

    assert {answer.status_code for answer in answers} == {403}
    with sessions.begin() as session:
        assert len(list_thresholds(session)) == 1
