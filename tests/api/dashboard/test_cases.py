"""The page of all cases: who sees what, whatever the query string says."""

import csv
import hashlib
import io
import re
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import openpyxl
import pytest
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from api.schemas.cases import ON_A_PAGE
from db.batches import add_batch
from db.claims import fail_job
from db.session import Sessions
from db.tables import AuditRow, BatchJobRow, JobRow, SavedFilterRow, TenantRow
from hilum.audit import Action
from hilum.jobs import Priority, State
from hilum.people import Role
from tests.api.dashboard.conftest import Welcome
from tests.api.dashboard.visitor import HTML, Visitor, words
from tests.db.factories import claim, finished_job, queue_job, study_of

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def smith(sessions: Sessions, tenant: TenantRow) -> str:
    """A case with a report, of a patient with a name."""
    with sessions.begin() as session:
        study = study_of(session, tenant.id)
        return str(finished_job(session, tenant.id, 0.3, study_id=study.id).id)


@pytest.fixture
def waiting(sessions: Sessions, tenant: TenantRow) -> list[str]:
    """Cases that wait."""
    with sessions.begin() as session:
        return [str(queue_job(session, tenant.id).id) for _ in range(2)]


@pytest.fixture
def foreign(sessions: Sessions, elsewhere: TenantRow) -> str:
    """A case of another hospital that waits."""
    with sessions.begin() as session:
        return str(queue_job(session, elsewhere.id, study_id=study_of(session, elsewhere.id).id).id)


def ids_of(answer: TestResponse) -> list[str]:
    assert answer.status_code == 200
    return re.findall(r'name="job_id" value="([0-9a-f-]+)"', answer.text)


def entries(sessions: Sessions, action: Action) -> list[AuditRow]:
    with sessions.begin() as session:
        wanted = select(AuditRow).where(AuditRow.action == action).order_by(AuditRow.id)
        return list(session.scalars(wanted))


def state_of(sessions: Sessions, job_id: str) -> State:
    with sessions.begin() as session:
        return session.get_one(JobRow, UUID(job_id)).state


# ── Who sees what ─────────────────────────────────────────────────────────────────────────────


def test_reader_sees_patient_verdict_and_share(reader: Visitor, smith: str) -> None:
    page = words(reader.get("/cases"))

    for expected in ("Smith John", "PAT-4711", "Alarming", "CT-2", "30.0 %", "succeeded", "1 case"):
        assert expected in page
    assert smith in ids_of(reader.get("/cases"))


def test_operator_sees_the_case_and_not_the_patient(operator: Visitor, smith: str) -> None:
    page = operator.get("/cases").text

    assert smith in page
    assert "patient hidden" in page
    for secret in ("Smith", "4711", "ACC"):
        assert secret not in page


@pytest.mark.parametrize("typed", ["smith", "pat-4711", "acc/2026-17", "acc"])
@pytest.mark.usefixtures("smith")
def test_operator_finds_nobody_by_name(operator: Visitor, typed: str) -> None:
    page = operator.get("/cases", text=typed)

    assert ids_of(page) == []
    assert "No case meets these filters" in words(page)


def test_reader_finds_a_case_by_its_accession_number(reader: Visitor, smith: str) -> None:
    assert ids_of(reader.get("/cases", text="acc/2026-17")) == [smith]


def test_label_of_a_batch_finds_cases_of_hospitals_that_somebody_sees(
    operator: Visitor,
    outsider: Visitor,
    sessions: Sessions,
    tenant: TenantRow,
    elsewhere: TenantRow,
    smith: str,
    foreign: str,
) -> None:
    with sessions.begin() as session:
        for tenant_id, job_id in ((tenant.id, smith), (elsewhere.id, foreign)):
            batch = add_batch(session, tenant_id, label="Night shift", is_open=True)
            assert batch is not None
            session.add(BatchJobRow(batch_id=batch.id, job_id=UUID(job_id)))

    assert ids_of(operator.get("/cases", text="night")) == [smith]
    assert ids_of(outsider.get("/cases", text="night")) == [foreign]
    for page in ("/cases", f"/cases/{smith}", "/queue", "/cases/export.csv"):
        assert "Night shift" not in operator.get(page).text


def test_other_hospitals_are_not_there(
    reader: Visitor, outsider: Visitor, admin: Visitor, smith: str, foreign: str
) -> None:
    assert ids_of(reader.get("/cases")) == [smith]
    assert ids_of(outsider.get("/cases")) == [foreign]
    assert ids_of(reader.get("/cases", tenant="elsewhere")) == []
    assert set(ids_of(admin.get("/cases"))) == {smith, foreign}
    assert ids_of(admin.get("/cases", tenant="elsewhere")) == [foreign]
    assert "elsewhere" not in reader.get("/cases").text


def test_page_without_a_case_says_how_to_send_one(reader: Visitor) -> None:
    assert "hilum send" in words(reader.get("/cases"))


def test_script_in_what_was_sent_is_text(
    reader: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = study_of(session, tenant.id, name=SCRIPT, number=SCRIPT, maker=SCRIPT, model="x")
        queue_job(session, tenant.id, study_id=study.id)

    for page in (reader.get("/cases"), reader.get("/cases", text=SCRIPT, scanner=SCRIPT + " x")):
        assert "<script>alert" not in page.text
        assert "alert(1)" in page.text


# ── The query string ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"text": "smith 4711"}, 1),
        ({"text": "  "}, 1),
        ({"state": "succeeded", "verdict": "Alarming", "grade": "CT-2"}, 1),
        ({"state": "queued"}, 0),
        ({"share_min": "30", "share_max": "30.1"}, 1),
        ({"share_min": "31"}, 0),
        ({"review": "yes"}, 1),
        ({"scanner": "SIEMENS SOMATOM Force"}, 1),
        ({"scanner": "another"}, 0),
        ({"network": "resnet50", "pipeline": "ct-lesions", "priority": "routine"}, 1),
        ({"dated_from": "2026-01-02", "dated_to": "2026-01-02"}, 1),
        ({"dated_from": "2026-01-03"}, 0),
        ({"received_from": "2026-01-01", "received_to": "2999-12-31"}, 1),
        ({"received_to": "2020-01-01"}, 0),
        ({"finished_from": "2026-01-01T00:00", "finished_to": "2999-12-31T23:59"}, 1),
        ({"finished_to": "2020-01-01T00:00"}, 0),
        ({"finished_from": "2999-12-31T00:00"}, 0),
        ({"error": "none"}, 0),
    ],
)
def test_query_string_narrows_the_list(
    query: dict[str, str],
    found: int,
    reader: Visitor,
    smith: str,
) -> None:
    assert ids_of(reader.get("/cases", **query)) == [smith] * found


@pytest.mark.parametrize(
    "query",
    [
        "state=nonsense",
        "state=queued&state=running",
        "misspelt=1",
        "share_min=101",
        "share_min=nan",
        "share_min=x",
        "received_from=yesterday",
        "finished_from=yesterday",
        "finished_to=9999-12-31T23:59-14:00",
        "finished_from=0001-01-01T00:00%2B14:00",
        "error=%27%3B",
        "received_to=9999-12-31",
        "dated_from=0001-01-01",
        "sort=name",
        "cursor=x",
        "cursor=" + "x" * 600,
        "text=" + "x" * 201,
        "text=a+b+c+d+e+f+g",
        "text=a%00b",
        "tenant=%00",
        "network=%27%3B",
        "review=maybe",
        "%00=1",
        "x" * 3000 + "=1",
        "seen=1",
    ],
)
def test_malformed_query_is_answered_by_a_sentence(query: str, reader: Visitor) -> None:
    for path in ("/cases", "/cases/rows", "/cases/export.csv", "/cases/export.xlsx"):
        answer = reader.get(f"{path}?{query}")
        if (path, query) == ("/cases/rows", "seen=1"):
            continue
        if path.startswith("/cases/export") and query.startswith("cursor"):
            continue
        assert answer.status_code == 422, path
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"received_from": "9999-99-99"}, "Received from: Not a valid date."),
        ({"verdict": "mild"}, "Verdict: Must be one of: No finding, Mild, Alarming."),
        ({"share_min": "30", "share_max": "20.5"}, "Share min: Is 30.0, beyond 20.5"),
        ({"dated_from": "2026-01-02", "dated_to": "2026-01-01"}, "Dated from: Is 2026-01-02"),
        ({"received_from": "2026-01-02", "received_to": "2026-01-01"}, "Received from: Is"),
        (
            {"finished_from": "2026-01-02T00:00", "finished_to": "2026-01-01T00:00"},
            "Finished from: Is",
        ),
    ],
)
@pytest.mark.usefixtures("smith")
def test_bad_filter_is_mended_on_the_page_that_it_was_typed_on(
    query: dict[str, str], sentence: str, reader: Visitor
) -> None:
    page = reader.get("/cases", text="smith", state="succeeded", **query)

    assert page.status_code == 422
    assert sentence in words(page)
    assert 'name="text" value="smith"' in page.text
    assert '<option value="succeeded" selected>' in page.text
    for name, typed in query.items():
        assert f'name="{name}" value="{typed}"' in page.text or f'"{typed}" selected' in page.text
    assert "John" not in page.text


def test_pages_follow_one_another(reader: Visitor, sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        jobs = [str(queue_job(session, tenant.id).id) for _ in range(ON_A_PAGE + 3)]

    first = reader.get("/cases", sort="received", state="queued")
    following = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert following is not None
    second = reader.get(following[1].replace("&amp;", "&"))

    assert ids_of(first) + ids_of(second) == jobs
    assert f"{len(jobs)} cases" in words(first)
    assert f"{len(jobs)} cases" in words(second)
    assert "hx-get" in first.text
    assert "hx-get" not in second.text


def test_words_are_looked_up_once_for_a_list_and_its_count(
    reader: Visitor, sessions: Sessions, tenant: TenantRow, statements: list[str]
) -> None:
    with sessions.begin() as session:
        for _ in range(ON_A_PAGE + 1):
            queue_job(session, tenant.id, study_id=study_of(session, tenant.id).id)
    statements.clear()

    page = reader.get("/cases", text="smith")

    assert f"{ON_A_PAGE + 1} cases" in words(page)
    looked_up = [one for one in statements if "MATERIALIZED" in one and "cases.words" in one]
    assert len(looked_up) == 1


def test_heading_sorts_and_turns_round(reader: Visitor, smith: str) -> None:
    page = reader.get("/cases", sort="-lesion_share", text="smith")

    assert ids_of(page) == [smith]
    assert 'aria-sort="descending"' in page.text
    assert 'href="/cases?text=smith&amp;sort=lesion_share"' in page.text


# ── Live ──────────────────────────────────────────────────────────────────────────────────────


def poll(visitor: Visitor, page: TestResponse) -> TestResponse:
    address = re.search(r'hx-get="([^"]+)"', page.text)
    assert address is not None
    headers = {"Accept": HTML, "X-Hilum-Poll": "1"}
    return visitor.client.get(address[1].replace("&amp;", "&"), headers=headers)


def test_open_page_hears_of_what_is_new_and_of_nothing_else(
    reader: Visitor, sessions: Sessions, waiting: list[str], tenant: TenantRow
) -> None:
    page = reader.get("/cases", state="queued")
    assert poll(reader, page).status_code == 204

    with sessions.begin() as session:
        new = str(queue_job(session, tenant.id).id)
    changed = poll(reader, page)

    assert set(ids_of(changed)) == {*waiting, new}
    assert "<html" not in changed.text
    assert poll(reader, changed).status_code == 204


def test_progress_is_news(reader: Visitor, sessions: Sessions, waiting: list[str]) -> None:
    page = reader.get("/cases")
    with sessions.begin() as session:
        job = session.get_one(JobRow, UUID(waiting[0]))
        claim(session, job)
        session.execute(update(JobRow).where(JobRow.id == job.id).values(fraction=0.5))

    changed = poll(reader, page)

    assert '<progress max="1" value="0.5"' in changed.text


# ── The audit log ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("smith")
def test_list_that_names_patients_is_in_the_audit_log_once_a_load(
    reader: Visitor, sessions: Sessions, tenant: TenantRow, smith: str
) -> None:
    page = reader.get("/cases", text="smith")
    poll(reader, page)
    poll(reader, page)

    [entry] = entries(sessions, Action.PATIENT_VIEWED)
    assert (entry.by, entry.tenant_id, entry.subject) == ("user rita.reader", tenant.id, "list")
    assert entry.detail == {"cases": 1, "jobs": [smith]}


def made_up(ids: list[object]) -> str:
    return hashlib.sha256(repr(ids).encode()).hexdigest()


def test_list_that_was_not_shown_before_is_in_the_audit_log_whatever_the_page_says(
    reader: Visitor, chief: Visitor, sessions: Sessions, smith: str
) -> None:
    job_id = UUID(smith)
    others = re.findall(r"seen=([0-9a-f-]+)", chief.get("/cases").text)
    seen = [
        *(made_up(ids)[:length] for ids in ([job_id], [(job_id, True)]) for length in (16, 32)),
        *others,
        "é",
    ]
    before = len(entries(sessions, Action.PATIENT_VIEWED))

    for one in seen:
        assert "Smith John" in words(reader.get("/cases/rows", seen=one))

    assert len(others) == 1
    assert len(entries(sessions, Action.PATIENT_VIEWED)) == before + len(seen)


@pytest.mark.usefixtures("smith")
def test_list_that_names_nobody_is_not(
    operator: Visitor, reader: Visitor, sessions: Sessions
) -> None:
    operator.get("/cases")
    reader.get("/cases", state="failed")

    assert entries(sessions, Action.PATIENT_VIEWED) == []


# ── Files ─────────────────────────────────────────────────────────────────────────────────────


def sheet_of(answer: TestResponse) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    sheet = openpyxl.load_workbook(io.BytesIO(answer.data)).active
    assert sheet is not None
    head, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(map(str, head), row, strict=True)) for row in rows]


def test_csv_names_patients_for_those_who_know_them(
    reader: Visitor, operator: Visitor, smith: str
) -> None:
    [row] = csv.DictReader(io.StringIO(reader.get("/cases/export.csv").text))
    assert row["job_id"] == smith
    assert (row["patient_name"], row["patient_id"]) == ("Smith John", "PAT-4711")
    assert row["accession_number"] == "ACC/2026-17"
    assert (row["verdict"], row["lesion_share"]) == ("Alarming", "0.3")

    [row] = csv.DictReader(io.StringIO(operator.get("/cases/export.csv").text))
    assert row["job_id"] == smith
    assert not {"patient_name", "patient_id", "accession_number"} & set(row)


def test_case_has_its_accession_number_for_those_who_know_patients(
    reader: Visitor, operator: Visitor, smith: str
) -> None:
    assert "Accession ACC/2026-17" in words(reader.get(f"/cases/{smith}"))
    assert "ACC" not in operator.get(f"/cases/{smith}").text


@pytest.mark.usefixtures("smith")
def test_workbook_has_dates_as_dates_and_numbers_as_numbers(reader: Visitor) -> None:
    [row] = sheet_of(reader.get("/cases/export.xlsx"))

    assert row["study_date"] == datetime(2026, 1, 2)  # noqa: DTZ001 - a sheet has no zones
    assert isinstance(row["received_at"], datetime)
    assert row["lesion_share"] == pytest.approx(0.3)
    assert row["patient_name"] == "Smith John"


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_file_holds_what_the_filter_finds(
    form: str, reader: Visitor, smith: str, waiting: list[str]
) -> None:
    answer = reader.get(f"/cases/export.{form}", state="queued")

    rows = sheet_of(answer) if form == "xlsx" else list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["job_id"] for row in rows} == set(waiting)
    assert smith not in waiting


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_name_is_never_a_formula(
    sign: str, reader: Visitor, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = study_of(session, tenant.id, name=f"{sign}1+1", number="http://evil.example")
        queue_job(session, tenant.id, study_id=study.id)

    [row] = csv.DictReader(io.StringIO(reader.get("/cases/export.csv").text))
    assert row["patient_name"] == f"'{sign}1+1"
    book = openpyxl.load_workbook(io.BytesIO(reader.get("/cases/export.xlsx").data))
    for cells in book.worksheets[0].iter_rows():
        assert all(cell.data_type != "f" and cell.hyperlink is None for cell in cells)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_export_of_the_ticked_cases_holds_those_one_may_see(
    form: str, reader: Visitor, smith: str, waiting: list[str], foreign: str, sessions: Sessions
) -> None:
    ticked = [waiting[0], smith, foreign, str(uuid4())]
    answer = reader.post("/cases/export", {"job_id": ticked, "format": form})

    rows = sheet_of(answer) if form == "xlsx" else list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["job_id"] for row in rows} == {waiting[0], smith}
    [entry] = entries(sessions, Action.LIST_EXPORTED)
    assert entry.detail == {"format": form, "cases": 2, "patients": True}


@pytest.mark.parametrize(
    "data", [{}, {"format": "pdf"}, {"format": "csv"}, {"format": "csv", "job_id": "x"}]
)
def test_malformed_export_is_answered_by_a_sentence(data: dict[str, str], reader: Visitor) -> None:
    assert reader.post("/cases/export", data).status_code == 422


# ── Many at once ──────────────────────────────────────────────────────────────────────────────


def test_operator_cancels_many_and_hears_of_each(
    operator: Visitor, sessions: Sessions, waiting: list[str], smith: str
) -> None:
    page = operator.post("/cases/cancel", {"job_id": [*waiting, smith], "query": "state=queued"})

    assert "2 of 3 cases cancelled" in words(page)
    assert f"Job {smith} has succeeded already" in words(page)
    assert 'href="/cases?state=queued"' in page.text
    assert {state_of(sessions, job) for job in waiting} == {State.CANCELLED}
    done = entries(sessions, Action.JOB_CANCELLED)
    assert {entry.subject for entry in done} == set(waiting)


def test_second_click_does_no_harm(
    operator: Visitor, sessions: Sessions, waiting: list[str]
) -> None:
    for _ in range(2):
        page = operator.post("/cases/cancel", {"job_id": [waiting[0]] * 2})

    assert "0 of 1 case cancelled" in words(page)
    assert state_of(sessions, waiting[0]) is State.CANCELLED
    assert len(entries(sessions, Action.JOB_CANCELLED)) == 1


def test_operator_retries_and_makes_urgent(
    operator: Visitor, sessions: Sessions, tenant: TenantRow, waiting: list[str]
) -> None:
    with sessions.begin() as session:
        failed = queue_job(session, tenant.id)
        fail_job(session, claim(session, failed), "not_axial", "It is sagittal.")

    assert "1 of 1 case queued again" in words(
        operator.post("/cases/retry", {"job_id": str(failed.id)})
    )
    page = operator.post("/cases/prioritise", {"job_id": waiting, "priority": "stat"})

    assert "2 of 2 cases made as urgent as asked" in words(page)
    assert state_of(sessions, str(failed.id)) is State.QUEUED
    with sessions.begin() as session:
        job = session.get_one(JobRow, UUID(waiting[0]))
        assert job.priority is Priority.STAT


def test_case_of_another_hospital_is_as_unknown_as_none(
    operator: Visitor, sessions: Sessions, waiting: list[str], foreign: str
) -> None:
    page = operator.post("/cases/cancel", {"job_id": [waiting[0], foreign, str(uuid4())]})

    assert "1 of 3 cases cancelled" in words(page)
    assert "2 of the ticked cases are not known here" in words(page)
    assert foreign not in page.text
    assert state_of(sessions, foreign) is State.QUEUED


def test_who_reads_here_and_operates_there_acts_there_alone(
    come: Welcome, sessions: Sessions, tenant: TenantRow, waiting: list[str], foreign: str
) -> None:
    from db.users import find_user, grant  # noqa: PLC0415

    both = come("bo.both", Role.READER, tenant.id)
    with sessions.begin() as session:
        user, job = find_user(session, "bo.both"), session.get_one(JobRow, UUID(foreign))
        assert user is not None
        grant(session, user, Role.OPERATOR, job.tenant_id)

    page = both.post("/cases/cancel", {"job_id": [waiting[0], foreign]})

    assert "1 of 2 cases cancelled" in words(page)
    assert "Your role does not allow this" in words(page)
    assert state_of(sessions, waiting[0]) is State.QUEUED
    assert state_of(sessions, foreign) is State.CANCELLED


def test_reader_has_no_such_buttons_and_may_not(reader: Visitor, waiting: list[str]) -> None:
    assert 'formaction="/cases/cancel"' not in reader.get("/cases").text
    assert reader.post("/cases/cancel", {"job_id": waiting}).status_code == 403


@pytest.mark.parametrize(
    ("deed", "data"),
    [
        ("cancel", {}),
        ("cancel", {"job_id": "x"}),
        ("cancel", {"job_id": "\x00"}),
        ("cancel", {"job_id": [str(uuid4()) for _ in range(501)]}),
        ("prioritise", {"job_id": str(uuid4())}),
        ("prioritise", {"job_id": str(uuid4()), "priority": SCRIPT}),
    ],
)
def test_malformed_deed_is_answered_by_a_sentence(
    deed: str, data: dict[str, Any], operator: Visitor
) -> None:
    answer = operator.post(f"/cases/{deed}", data)

    assert answer.status_code == 422
    assert "<script>alert" not in answer.text


def test_form_of_another_sign_in_does_nothing(
    operator: Visitor, sessions: Sessions, waiting: list[str]
) -> None:
    assert operator.post("/cases/cancel", {"job_id": waiting}, token="0" * 64).status_code == 403
    assert state_of(sessions, waiting[0]) is State.QUEUED


# ── Saved filters ─────────────────────────────────────────────────────────────────────────────


def saved(sessions: Sessions) -> list[tuple[str, str]]:
    with sessions.begin() as session:
        rows = session.scalars(select(SavedFilterRow).order_by(SavedFilterRow.position))
        return [(row.name, row.query) for row in rows]


def test_filter_is_kept_and_opens_the_list_again(
    reader: Visitor, sessions: Sessions, smith: str, waiting: list[str]
) -> None:
    form = {"name": " To  look at ", "query": "verdict=Alarming&state=&sort=-lesion_share"}
    answer = reader.post("/cases/filters", form)

    assert answer.status_code == 303
    assert saved(sessions) == [("To look at", "verdict=Alarming&sort=-lesion_share")]
    page = reader.get(answer.headers["Location"])
    assert ids_of(page) == [smith]
    assert "To look at" in words(page)
    assert waiting


def test_saved_filters_are_ordered_renewed_and_forgotten(
    reader: Visitor, sessions: Sessions
) -> None:
    for name, query in (("a", "state=queued"), ("b", "state=failed"), ("a", "state=running")):
        reader.post("/cases/filters", {"name": name, "query": query})
    assert saved(sessions) == [("a", "state=running"), ("b", "state=failed")]

    page = reader.get("/cases").text
    [front] = re.findall(r'action="(/cases/filters/[^"]+/front)"', page)
    reader.post(front)
    assert [name for name, _ in saved(sessions)] == ["b", "a"]

    for address in re.findall(r'action="(/cases/filters/[^"]+/forget)"', page) * 2:
        assert reader.post(address).status_code == 303
    assert saved(sessions) == []


def test_filters_of_others_are_theirs(
    reader: Visitor, operator: Visitor, sessions: Sessions
) -> None:
    reader.post("/cases/filters", {"name": "Mine", "query": "text=smith"})
    [address] = re.findall(r'action="(/cases/filters/[^"]+/forget)"', reader.get("/cases").text)

    assert "Mine" not in operator.get("/cases").text
    operator.post(address)
    operator.post(address.replace("forget", "front"))
    assert len(saved(sessions)) == 1


@pytest.mark.parametrize(
    "form",
    [
        {"name": "", "query": "state=queued"},
        {"name": "x" * 61, "query": "state=queued"},
        {"name": "a\x00b", "query": "state=queued"},
        {"name": "a", "query": "state=nonsense"},
        {"name": "a", "query": "to=https://evil.example"},
        {"name": "a", "query": "state=queued&state=failed"},
        {"name": "a", "query": "text=" + "x" * 3000},
    ],
)
def test_malformed_filter_is_not_kept(
    form: dict[str, str], reader: Visitor, sessions: Sessions
) -> None:
    assert reader.post("/cases/filters", form).status_code == 422
    assert saved(sessions) == []


def test_filters_are_not_without_number(
    reader: Visitor, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.saved_filters.MOST", 1)
    reader.post("/cases/filters", {"name": "a", "query": "state=queued"})

    assert reader.post("/cases/filters", {"name": "b", "query": "state=queued"}).status_code == 422
    assert reader.post("/cases/filters", {"name": "a", "query": "state=failed"}).status_code == 303
    assert saved(sessions) == [("a", "state=failed")]


def test_script_in_the_name_of_a_filter_is_text(reader: Visitor) -> None:
    reader.post("/cases/filters", {"name": SCRIPT, "query": "state=queued"})

    assert "<script>alert" not in reader.get("/cases").text
