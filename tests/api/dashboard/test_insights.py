"""The page of figures: what it says, of whose cases, and what it does with odd questions."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from api.dashboard.panels import PANELS
from api.dashboard.period import Period
from db.reports import report_for
from db.session import Sessions
from db.tables import JobRow, ReportRow, TenantRow
from hilum.jobs import State
from tests.api.dashboard.visitor import Visitor, words
from tests.db.factories import finished_job, queue_job

Case = Callable[..., ReportRow]


@pytest.fixture
def case(sessions: Sessions, tenant: TenantRow) -> Case:
    """Report on a case, now or some days ago."""

    def report(share: float = 0.1, *, days_ago: int = 0, at: TenantRow = tenant) -> ReportRow:
        with sessions.begin() as session:
            job = finished_job(session, at.id, share=share)
            job.queued_at = job.started_at
            row = report_for(session, at.id, job.id)
            row.created_at = datetime.now(UTC) - timedelta(days=days_ago)
            return row

    return report


def charts(page: str) -> list[dict[str, Any]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return [json.loads(text) for text in found]


def whole(visitor: Visitor, **query: Any) -> str:
    """Return the page with what it fetches once it is there."""
    answer = visitor.get("/insights", **query)
    assert answer.status_code == 200
    later = re.compile(r'<section class="card later".*?hx-get="([^"]+)".*?</section>', re.DOTALL)
    return later.sub(lambda found: visitor.get(unescape(found[1])).text, answer.text)


def table(visitor: Visitor, name: str, **query: Any) -> list[dict[str, str]]:
    answer = visitor.get(f"/insights/{name}.csv", **query)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_page_says_how_many_cases_there_were(reader: Visitor, case: Case) -> None:
    for share in (0.0, 0.1, 0.1, 0.4):
        case(share)

    page = reader.get("/insights")

    assert page.status_code == 200
    assert "4 reports from" in words(page)
    assert ": 1 No finding, 2 Mild, 1 Alarming." in words(page)
    assert "1 of them at or above the cut to Alarming at 25 %" in words(page)
    assert "arXiv 2008.09713" in whole(reader)


def test_chart_has_the_numbers_of_its_table(reader: Visitor, case: Case) -> None:
    for share in (0.1, 0.1, 0.4):
        case(share)

    [cases, shares, speed, waits] = charts(whole(reader, days=7))

    assert len(cases["labels"]) == 7
    sums = {one["name"]: sum(one["values"]) for one in cases["series"]}
    assert sums == {"No finding": 0, "Mild": 2, "Alarming": 1}
    rows = table(reader, "cases", days=7)
    assert [row["Day"] for row in rows] == cases["labels"]
    for one in cases["series"]:
        assert [int(row[one["name"]]) for row in rows] == one["values"]
    assert sum(shares["series"][0]["values"]) == 3
    assert [mark["name"] for mark in shares["marks"]] == ["CT-1", "CT-2", "CT-3", "CT-4"]
    assert [shares["labels"][mark["index"]] for mark in shares["marks"]] == [
        "0.5 %",
        "25 %",
        "50 %",
        "75 %",
    ]
    assert speed["labels"] == ["resnet50"]
    assert waits["labels"] == ["routine"]


@pytest.mark.parametrize("name", PANELS)
def test_every_figure_has_its_file_and_its_heading(reader: Visitor, case: Case, name: str) -> None:
    case()

    page = reader.get("/insights").text

    assert f'id="{name}-title"' in page
    assert f'id="{name}-title"' in reader.get(f"/insights/{name}").text
    table(reader, name)


def test_nothing_yet_is_said_in_words(reader: Visitor) -> None:
    page = whole(reader)

    said = " ".join(page.split())
    assert "0 reports from" in said
    assert "No network has run." in said
    assert "No job was begun." in said
    assert "No job failed." in said
    assert "No reader has said anything." in said
    assert [chart["kind"] for chart in charts(page)] == ["stack", "stack"]


def test_period_is_kept_to(reader: Visitor, case: Case) -> None:
    today = datetime.now(UTC).date()
    for days_ago in (0, 6, 7, 29, 30):
        case(days_ago=days_ago)

    def count(**query: Any) -> int:
        return sum(int(row["All"]) for row in table(reader, "cases", **query))

    assert count(days=7) == 2
    assert count() == 4
    assert count(days=90) == 5
    week = {"from": today - timedelta(days=7), "to": today - timedelta(days=6)}
    assert count(**week) == 2
    assert count(**{"from": today}) == 1


def listed(visitor: Visitor, address: str) -> set[str]:
    """The jobs of the list of cases that a link leads to."""
    answer = visitor.get(unescape(address))
    assert answer.status_code == 200
    return set(re.findall(r'name="job_id" value="([0-9a-f-]+)"', answer.text))


def link(visitor: Visitor, panel: str, text: str, **query: Any) -> str:
    """The address behind the first such text of a figure."""
    page = visitor.get(f"/insights/{panel}", **query).text
    found = re.search(rf'<a href="(/cases[^"]*)">{re.escape(text)}</a>', page)
    assert found
    return found[1]


@pytest.fixture
def wrong(sessions: Sessions, tenant: TenantRow) -> Callable[..., str]:
    """Have a job go wrong, now or some days ago."""

    def fail(
        code: str | None,
        state: State = State.FAILED,
        *,
        days_ago: int = 0,
        at: TenantRow = tenant,
    ) -> str:
        with sessions.begin() as session:
            job = queue_job(session, at.id)
            job.state, job.error_code = state, code
            job.finished_at = datetime.now(UTC) - timedelta(days=days_ago)
            return str(job.id)

    return fail


def test_row_of_a_failure_leads_to_exactly_the_cases_that_it_counts(
    reader: Visitor,
    admin: Visitor,
    wrong: Callable[..., str],
    elsewhere: TenantRow,
    tenant: TenantRow,
) -> None:
    counted = {wrong("not_axial"), wrong("not_axial", State.QUARANTINED)}
    without = wrong(None)
    # A text would find these, too: it finds what begins with each of its words.
    wrong("not_axial_at_all")
    wrong("not_axial", State.CANCELLED)
    wrong("not_axial", State.QUEUED)
    older = wrong("not_axial", days_ago=40)
    foreign = wrong("not_axial", at=elsewhere)

    assert listed(reader, link(reader, "failures", "not_axial", days=30)) == counted
    assert listed(reader, link(reader, "failures", "not_axial", days=90)) == counted | {older}
    assert listed(reader, link(reader, "failures", "none")) == {without}
    assert listed(admin, link(admin, "failures", "not_axial")) == counted | {foreign}
    of_one = link(admin, "failures", "not_axial", hospital=tenant.id)
    assert listed(admin, of_one) == counted


def test_choice_of_network_goes_with_the_link(reader: Visitor, wrong: Callable[..., str]) -> None:
    job = wrong("not_axial")

    assert listed(reader, link(reader, "failures", "not_axial", network="resnet50")) == {job}
    assert "network=resnet50" in link(reader, "failures", "not_axial", network="resnet50")


def test_day_and_verdict_lead_to_their_cases(
    reader: Visitor, case: Case, sessions: Sessions
) -> None:
    rows = [case(0.4), case(0.1), case(0.4, days_ago=1)]
    with sessions.begin() as session:
        for row in rows:
            session.get_one(JobRow, row.job_id).finished_at = row.created_at

    [alarming, mild, older] = (str(row.job_id) for row in rows)
    page = reader.get("/insights").text.partition('id="cases"')[2].partition("</section>")[0]
    links = re.findall(r'<a href="(/cases[^"]*)">1</a>', page)
    assert [listed(reader, one) for one in links] == [{older}, {mild}, {alarming}]
    assert listed(reader, link(reader, "speed", "resnet50")) == {alarming, mild, older}


def test_days_of_a_link_end_at_the_midnight_of_the_installation() -> None:
    day = Period(date(2026, 3, 29), date(2026, 3, 29), ZoneInfo("Europe/Vienna"))

    # The clock went on by an hour in that night.
    assert day.ends == {"finished_from": "2026-03-28T23:00", "finished_to": "2026-03-29T22:00"}


def test_reader_counts_the_cases_of_their_hospital_alone(
    reader: Visitor, admin: Visitor, case: Case, elsewhere: TenantRow, tenant: TenantRow
) -> None:
    case()
    case(at=elsewhere)

    assert "1 report from" in words(reader.get("/insights"))
    assert "elsewhere" not in words(reader.get("/insights"))
    assert "2 reports from" in words(admin.get("/insights"))
    assert "1 report from" in words(admin.get("/insights", hospital=tenant.id))


def test_hospital_that_may_not_be_seen_is_as_one_that_there_is_not(
    reader: Visitor, case: Case, elsewhere: TenantRow
) -> None:
    case(at=elsewhere)

    foreign = reader.get("/insights", hospital=elsewhere.id)
    made_up = reader.get("/insights", hospital="nonsense")

    assert foreign.status_code == made_up.status_code == 422
    assert "no such hospital" in words(foreign)
    assert "no such hospital" in words(made_up)
    assert reader.get("/insights/cases.csv", hospital=elsewhere.id).status_code == 422
    assert reader.get("/insights/waits", hospital=elsewhere.id).status_code == 422


@pytest.mark.parametrize("path", ["/insights", "/insights/speed", "/insights/cases.csv"])
@pytest.mark.parametrize(
    "query",
    [
        {"days": "0"},
        {"days": "-30"},
        {"days": "1e9"},
        {"days": "30; DROP TABLE reports"},
        {"from": "yesterday"},
        {"from": "0001-01-01"},
        {"to": "9999-12-31"},
        {"from": "2026-03-02", "to": "2026-03-01"},
        {"from": "2001-01-01", "to": "2026-01-01"},
        {"network": "<script>"},
        {"network": "%"},
        {"network": "a" * 5000},
        {"network": "\0"},
        {"pipeline": "nonsense"},
        {"pipeline": "\0"},
    ],
)
def test_question_that_makes_no_sense_is_explained(
    reader: Visitor, path: str, query: dict[str, str]
) -> None:
    answer = reader.get(path, **query)

    assert answer.status_code == 422
    assert "<script>" not in answer.text.replace("<script ", "")


def test_network_is_counted_in_all_its_versions(reader: Visitor, case: Case) -> None:
    case()

    assert sum(int(row["All"]) for row in table(reader, "cases", network="resnet50")) == 1
    assert sum(int(row["All"]) for row in table(reader, "cases", network="resnet101")) == 0


def test_choice_stays_chosen_and_goes_with_the_files(reader: Visitor, case: Case) -> None:
    case()

    page = reader.get("/insights", days=90, network="resnet50", nonsense="1").text

    assert '<option value="90" selected>' in page
    assert "/insights/cases.csv?days=90&amp;network=resnet50" in page
    assert 'hx-get="/insights/speed?days=90&amp;network=resnet50"' in page
    assert "nonsense" not in page


def test_figure_that_there_is_not_is_unknown(reader: Visitor) -> None:
    assert reader.get("/insights/nonsense.csv").status_code == 404
    assert reader.get("/insights/nonsense").status_code == 404


def test_every_role_sees_the_figures_and_nobody_else(
    operator: Visitor, chief: Visitor, nobody: Visitor
) -> None:
    assert operator.get("/insights").status_code == chief.get("/insights").status_code == 200
    assert nobody.get("/insights").status_code == 303
    assert nobody.get("/insights/cases.csv").status_code == 303
    assert nobody.get("/insights/speed").status_code == 303


def test_page_has_no_style_or_script_of_its_own(reader: Visitor, case: Case) -> None:
    case()

    page = whole(reader)

    assert " style=" not in page
    assert "<style" not in page
    assert re.findall(r"<script(?![^>]*(src=|application/json))", page) == []


def test_every_table_has_heads_and_every_chart_a_sentence(reader: Visitor, case: Case) -> None:
    case()

    page = whole(reader)

    assert page.count("<table>") == page.count("<caption")
    assert "<th>" not in page
    assert re.findall(r'role="img" aria-label="([^"]*)"', page)
    assert all(re.findall(r'role="img" aria-label="([^"]*)"', page))
