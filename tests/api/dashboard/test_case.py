"""The page of one case: what it shows, to whom, and what may be done from it."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from db.audit import VIEW_LASTS, read_head
from db.claims import claim_job, fail_job
from db.session import Sessions
from db.tables import AuditRow, JobRow
from hilum.audit import Action, Entry, Record
from hilum.jobs import State
from tests.api.caller import Caller
from tests.api.dashboard.test_viewer import viewer_in
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import said


def actions_of(sessions: Sessions, job_id: str) -> list[str]:
    with sessions.begin() as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.subject == job_id))
        return [row.action for row in rows.all()]


def details_of(sessions: Sessions, action: Action) -> list[dict[str, Any]]:
    with sessions.begin() as session:
        wanted = select(AuditRow.detail).where(AuditRow.action == action).order_by(AuditRow.id)
        return list(session.scalars(wanted))


def hashes(record: Record) -> dict[str, str]:
    return {"previous_sha256": record.previous_sha256, "sha256": record.sha256}


def embed(visitor: Visitor, path: str) -> None:
    """Ask for a picture as pages do."""
    with visitor.client.get(f"{path}?view") as answer:
        assert answer.status_code == 200


@pytest.fixture
def waiting(caller: Caller, archive: bytes) -> str:
    job_id: str = caller.send(archive).json["id"]
    return job_id


def test_case_shows_verdict_grade_and_reason_first(reader: Visitor, finished: str) -> None:
    said = words(reader.get(f"/cases/{finished}"))

    assert "Mild CT-1 10.0 % of the lungs is lesion" in said
    assert "15.0 points below the cut to Alarming at 25.0 %" in said
    assert "1 consolidation right 12.5 0.3 % -120 3-5 0.90" in said
    assert "Right 2000 200.0 10.0 % CT-1" in said
    assert "For research." in said
    assert said.index("Mild CT-1") < said.index("Right 2000")


def test_link_of_a_job_leads_to_its_case(reader: Visitor, caller: Caller, finished: str) -> None:
    page = caller.get(f"/v1/jobs/{finished}").json["links"]["page"]

    assert page == f"/cases/{finished}"
    assert reader.get(page).status_code == 200


def test_everything_a_case_refers_to_opens(reader: Visitor, finished: str) -> None:
    page = reader.get(f"/cases/{finished}")

    linked = set(re.findall(r'(?:href|src)="(/[^"#]+)"', page.text))
    linked -= {link for link in linked if link.startswith("/static/vendor/")}
    assert len(linked) > 12
    assert {link: reader.get(link).status_code for link in linked} == dict.fromkeys(linked, 200)


def test_patient_is_named_to_a_reader_and_hidden_from_an_operator(
    reader: Visitor, operator: Visitor, finished: str
) -> None:
    seen, hidden = reader.get(f"/cases/{finished}"), operator.get(f"/cases/{finished}")

    assert "Phantom Hilum" in words(seen)
    assert "PHANTOM-" in seen.text
    assert "Phantom Hilum" not in words(hidden)
    assert "PHANTOM-" not in hidden.text
    assert "hidden: your role does not know patients" in words(hidden)


def test_birth_and_sex_read_as_such_and_tabs_of_cases_differ(
    reader: Visitor, operator: Visitor, finished: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        study = session.get_one(JobRow, UUID(finished)).study
        study.patient_id = "PAT-0815"
        study.attributes = (study.attributes or {}) | said(
            PatientBirthDate="19600101", PatientSex="O"
        )

    known, hidden = (visitor.get(f"/cases/{finished}") for visitor in (reader, operator))

    assert "Born 1960-01-01 Sex O" in words(known)
    assert ", PAT-0815 · Hilum</title>" in known.text
    assert f", {finished[:8]} · Hilum</title>" in hidden.text


def test_results_that_name_the_patient_are_for_those_who_may_know(
    reader: Visitor, operator: Visitor, finished: str
) -> None:
    path = f"/v1/reports/{finished}/segmentation.dcm"

    assert reader.get(path).status_code == 200
    refused = operator.get(path)
    assert refused.status_code == 403
    assert "Your role does not allow this" in words(refused)


@pytest.mark.parametrize("path", ["", "/status", "/cancel", "/retry", "/prioritise", "/rerun"])
def test_case_of_another_hospital_is_not_there(
    outsider: Visitor, finished: str, path: str, sessions: Sessions
) -> None:
    address = f"/cases/{finished}{path}"
    changes = path not in {"", "/status"}

    answer = outsider.post(address) if changes else outsider.get(address)

    assert answer.status_code == 404
    assert f"There is no job {finished}" in words(answer)
    assert actions_of(sessions, finished) == []


@pytest.mark.parametrize("kind", ["", "/montage.png", "/masks/lesions.nii.gz", "/slices/0.png"])
def test_pictures_of_another_hospital_are_not_there(
    outsider: Visitor, finished: str, kind: str
) -> None:
    assert outsider.get(f"/v1/reports/{finished}{kind}").status_code == 404


def test_made_up_case_is_a_plain_page(reader: Visitor) -> None:
    for path in (f"/cases/{uuid4()}", "/cases/nonsense", "/cases/%00"):
        answer = reader.get(path)

        assert answer.status_code == 404
        assert answer.mimetype == "text/html"


def test_who_looked_at_a_case_is_in_the_audit_log(
    reader: Visitor, operator: Visitor, finished: str, sessions: Sessions
) -> None:
    reader.get(f"/cases/{finished}")
    operator.get(f"/cases/{finished}")

    assert actions_of(sessions, finished) == [Action.PATIENT_VIEWED, Action.CASE_VIEWED]


def test_what_somebody_takes_away_is_in_the_audit_log(
    reader: Visitor, finished: str, sessions: Sessions
) -> None:
    reader.get(f"/cases/{finished}")
    for what in ("", "/masks/lesions.nii.gz", "/segmentation.dcm", "/montage.png"):
        reader.get(f"/v1/reports/{finished}{what}")
    reader.get(f"/v1/reports/{finished}/segmentation.dcm?view")
    reader.get(f"/v1/reports/{finished.upper()}/volume.nii.gz")

    taken = details_of(sessions, Action.DOWNLOADED)
    assert [detail["what"] for detail in taken] == [
        "report",
        "masks/lesions.nii.gz",
        "segmentation.dcm",
        "montage.png",
        "segmentation.dcm",
        "volume.nii.gz",
    ]


@pytest.mark.parametrize("picture", ["slices/0.png", "montage.png"])
def test_picture_of_a_case_that_was_not_opened_is_a_view(
    reader: Visitor, operator: Visitor, finished: str, sessions: Sessions, picture: str
) -> None:
    operator.get(f"/cases/{finished}")
    for _ in range(3):
        embed(reader, f"/v1/reports/{finished}/{picture}")

    assert details_of(sessions, Action.CASE_VIEWED) == [{}, {"part": picture}]


def test_pictures_of_a_case_that_is_open_are_no_views_of_their_own(
    reader: Visitor, finished: str, sessions: Sessions
) -> None:
    reader.get(f"/cases/{finished}")
    for picture in ("slices/0.png", "slices/1.png", "montage.png", "thumbnail.png"):
        embed(reader, f"/v1/reports/{finished}/{picture}")

    assert actions_of(sessions, finished) == [Action.PATIENT_VIEWED]


def test_view_of_long_ago_does_not_stand_for_a_picture_of_today(
    reader: Visitor, finished: str, sessions: Sessions
) -> None:
    long_ago = datetime.now(UTC) - VIEW_LASTS - timedelta(minutes=1)
    with sessions.begin() as session:
        old = Entry("user rita.reader", Action.PATIENT_VIEWED, subject=finished)
        head = read_head(session)
        record = Record.seal(head.count + 1, long_ago, old, head.sha256)
        session.add(AuditRow(**asdict(old), id=record.id, at=long_ago, **hashes(record)))

    reader.get(f"/v1/reports/{finished}/slices/0.png")

    assert actions_of(sessions, finished) == [Action.PATIENT_VIEWED, Action.CASE_VIEWED]


def test_viewer_of_a_case_is_one_view_and_no_download(
    reader: Visitor, finished: str, sessions: Sessions
) -> None:
    viewer = viewer_in(reader.get(f"/cases/{finished}").text)
    for _ in range(2):
        for part in ("volume", "lesions", "lungs"):
            assert reader.get(viewer[part]).status_code == 200

    assert actions_of(sessions, finished) == [Action.PATIENT_VIEWED, Action.CASE_VIEWED]
    assert details_of(sessions, Action.CASE_VIEWED) == [{"part": "volume"}]


def test_case_that_waits_asks_again_and_comes_anew_once_it_has_ended(
    reader: Visitor, waiting: str, sessions: Sessions
) -> None:
    page = reader.get(f"/cases/{waiting}")
    assert "Next in the queue" in words(page)
    assert f'hx-get="/cases/{waiting}/status"' in page.text

    with sessions.begin() as session:
        claim = claim_job(session, UUID(waiting), worker="gpu", lease_s=60, max_attempts=3)
        assert claim is not None
        fail_job(session, claim, "missing_slices", "5.0 mm are <missing>.")

    part = reader.get(f"/cases/{waiting}/status")
    assert part.headers["HX-Refresh"] == "true"
    failed = reader.get(f"/cases/{waiting}")
    assert "missing_slices" in words(failed)
    assert "5.0 mm are &lt;missing&gt;." in failed.text
    assert "hx-get" not in failed.text


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("files_gone", "Send the study again; or restore the store from a backup, then retry."),
        ("missing_slices", "The study is kept; its job can be retried."),
    ],
)
def test_case_that_failed_says_what_can_be_done(
    reader: Visitor, waiting: str, sessions: Sessions, code: str, said: str
) -> None:
    with sessions.begin() as session:
        claim = claim_job(session, UUID(waiting), worker="gpu", lease_s=60, max_attempts=3)
        assert claim is not None
        fail_job(session, claim, code, "Why.")

    shown = words(reader.get(f"/cases/{waiting}"))

    assert said in shown
    assert ("The study is kept" in shown) == (code != "files_gone")


def test_operator_cancels_retries_and_makes_urgent(
    operator: Visitor, waiting: str, sessions: Sessions
) -> None:
    steps = [("cancel", {}), ("retry", {}), ("prioritise", {"priority": "stat"})]
    for deed, form in steps:
        assert operator.post(f"/cases/{waiting}/{deed}", form).status_code == 303

    with sessions.begin() as session:
        job = session.get_one(JobRow, UUID(waiting))
        assert (job.state, job.priority) == (State.QUEUED, "stat")
    said = words(operator.get(f"/cases/{waiting}"))
    assert "by: user otto.operator" in said
    assert {Action.JOB_CANCELLED, Action.JOB_RETRIED, Action.JOB_PRIORITISED} <= set(
        actions_of(sessions, waiting)
    )


def test_case_is_run_again_by_another_network(operator: Visitor, finished: str) -> None:
    answer = operator.post(f"/cases/{finished}/rerun", {"network": "other@1.0.0"})

    assert answer.status_code == 303
    assert answer.headers["Location"] != f"/cases/{finished}"
    assert "other@1.0.0" in words(operator.get(answer.headers["Location"]))


def test_network_that_has_run_is_offered_again_only_where_the_case_failed(
    operator: Visitor, finished: str, sessions: Sessions
) -> None:
    with sessions.begin() as session:
        used = session.get_one(JobRow, UUID(finished)).network

    def offered() -> list[tuple[str, str]]:
        form = operator.get(f"/cases/{finished}").text.partition('id="network"')[2]
        return re.findall(r"<option( selected)?>([^<]+)", form.partition("</select>")[0])

    after = offered()
    with sessions.begin() as session:
        session.execute(update(JobRow).values(state=State.FAILED))
    again = offered()
    assert used not in [name for _, name in after]
    assert used in [name for _, name in again]
    for some in (after, again):
        chosen = [name for selected, name in some if selected]
        assert len(chosen) == 1
        assert chosen != [used]


def test_doing_it_twice_is_answered_by_a_sentence(operator: Visitor, waiting: str) -> None:
    operator.post(f"/cases/{waiting}/cancel")

    again = operator.post(f"/cases/{waiting}/cancel")

    assert again.status_code == 409
    assert "has cancelled already" in words(again)


@pytest.mark.parametrize(
    ("deed", "form"),
    [("prioritise", {"priority": "<b>"}), ("prioritise", {}), ("rerun", {"network": "../x"})],
)
def test_malformed_wish_is_explained(
    operator: Visitor, waiting: str, deed: str, form: dict[str, str]
) -> None:
    answer = operator.post(f"/cases/{waiting}/{deed}", form)

    assert answer.status_code == 422
    assert "<b>" not in answer.text


def test_reader_may_look_and_not_touch(reader: Visitor, waiting: str) -> None:
    assert "Cancel" not in words(reader.get(f"/cases/{waiting}"))
    assert reader.post(f"/cases/{waiting}/cancel").status_code == 403


def test_form_without_its_token_does_nothing(operator: Visitor, waiting: str) -> None:
    assert operator.post(f"/cases/{waiting}/cancel", token="0" * 64).status_code == 403
    assert "Next in the queue" in words(operator.get(f"/cases/{waiting}"))
