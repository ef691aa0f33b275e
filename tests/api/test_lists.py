"""Filters, order and pages of the three lists; their queries themselves are tested in tests/db."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.exports import cell
from db.session import Sessions
from db.tables import JobRow, TenantRow
from hilum.jobs import Priority
from tests.api.caller import Caller
from tests.db.factories import finished_job, keep_study, make_study, queue_job

SHARES = (0.001, 0.1, 0.3, 0.6)


@pytest.fixture
def several(sessions: Sessions, tenant: TenantRow) -> list[JobRow]:
    """Four finished jobs with growing lesions, and one that waits."""
    with sessions.begin() as session:
        done = [finished_job(session, tenant.id, share) for share in SHARES]
        waiting = queue_job(session, tenant.id, priority=Priority.STAT, network="other@1.2.0")
        return [*done, waiting]


def shares(caller: Caller, **query: Any) -> list[float]:
    items = caller.get("/v1/reports", **query).json["items"]
    return [item["lesion_share"] for item in items]


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"verdict": "Alarming"}, (0.3, 0.6)),
        ({"verdict": "No finding"}, (0.001,)),
        ({"grade": "CT-3"}, (0.6,)),
        ({"lesion_share_min": 0.1, "lesion_share_max": 0.3}, (0.1, 0.3)),
        ({"pipeline": "ct-lesions"}, SHARES),
        ({"pipeline": "cxr-covid"}, ()),
        ({"review": "false", "lesion_share_min": 0.05}, (0.1, 0.6)),
        ({"study_uid": "1.2.840.1"}, SHARES),
        ({"created_to": "2020-01-01T00:00:00Z"}, ()),
        ({"created_from": "2020-01-01"}, SHARES),
    ],
)
def test_reports_are_filtered(
    caller: Caller, query: dict[str, Any], expected: tuple[float, ...]
) -> None:
    assert shares(caller, sort="lesion_share", **query) == pytest.approx(expected)


@pytest.mark.usefixtures("several")
def test_reports_are_sorted(caller: Caller) -> None:
    assert shares(caller, sort="-lesion_share") == pytest.approx(sorted(SHARES, reverse=True))
    assert shares(caller) == pytest.approx(list(reversed(SHARES)))


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"state": "queued"}, 1),
        ({"state": "succeeded"}, 4),
        ({"state": "failed"}, 0),
        ({"priority": "stat"}, 1),
        ({"network": "other"}, 1),
        ({"network": "other@1.2.0"}, 1),
        ({"network": "other@1"}, 0),
        ({"network": "resnet50"}, 4),
        ({"created_from": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, 0),
    ],
)
@pytest.mark.usefixtures("several")
def test_jobs_are_filtered(caller: Caller, query: dict[str, Any], count: int) -> None:
    assert len(caller.get("/v1/jobs", **query).json["items"]) == count


def test_jobs_of_one_study_are_found(caller: Caller, several: list[JobRow]) -> None:
    items = caller.get("/v1/jobs", study_id=several[0].study_id).json["items"]

    assert [item["id"] for item in items] == [str(several[0].id)]


def test_studies_are_filtered_by_date_and_uid(
    caller: Caller, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        keep_study(session, tenant.id, make_study("1.2.1", date="20200401"))
        keep_study(session, tenant.id, make_study("1.2.2", date="20210401"))
        keep_study(session, tenant.id, make_study("1.2.3", date=""))

    def uids(**query: Any) -> set[str]:
        return {item["study_uid"] for item in caller.get("/v1/studies", **query).json["items"]}

    assert uids() == {"1.2.1", "1.2.2", "1.2.3"}
    assert uids(study_date_from="2020-04-02") == {"1.2.2"}
    assert uids(study_date_to="2020-04-01") == {"1.2.1"}
    assert uids(study_uid="1.2.3") == {"1.2.3"}


def test_pages_follow_each_other_without_gap_or_repetition(
    caller: Caller, several: list[JobRow]
) -> None:
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2, "sort": "created_at"}
    while True:
        page = caller.get("/v1/jobs", **query).json
        seen += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]

    assert seen == [str(job.id) for job in several]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("jobs", {"state": "resting"}),
        ("jobs", {"limit": 0}),
        ("jobs", {"limit": 201}),
        ("jobs", {"limit": "many"}),
        ("jobs", {"cursor": "not-one-of-ours"}),
        ("jobs", {"cursor": ""}),
        ("jobs", {"sort": "colour"}),
        ("jobs", {"stat": "queued"}),
        ("jobs", {"study_id": "7"}),
        ("jobs", {"created_from": "yesterday"}),
        ("jobs", {"format": "xml"}),
        ("jobs", {"pipeline": "\x00"}),
        ("studies", {"study_date_from": "20200401T"}),
        ("studies", {"study_uid": "1.2.x"}),
        ("reports", {"verdict": "Fine"}),
        ("reports", {"lesion_share_min": 1.5}),
        ("reports", {"lesion_share_min": "nan"}),
        ("reports", {"review": "perhaps"}),
    ],
)
def test_malformed_list_is_refused(caller: Caller, path: str, query: dict[str, Any]) -> None:
    answer = caller.get(f"/v1/{path}", **query)

    assert answer.refusal == (422, "invalid_request")


def test_cursor_of_another_order_is_refused(caller: Caller, several: list[JobRow]) -> None:
    cursor = caller.get("/v1/jobs", limit=len(several) - 1).json["next_cursor"]

    answer = caller.get("/v1/jobs", cursor=cursor, sort="created_at")

    assert answer.refusal == (422, "invalid_request")


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize("asked", [{"format": "csv"}, {}])
def test_csv_is_the_whole_list(caller: Caller, asked: dict[str, str]) -> None:
    headers = {} if asked else {"Accept": "text/csv"}

    answer = caller.get("/v1/reports", headers=headers, limit=1, sort="lesion_share", **asked)

    assert answer.headers["Content-Type"].startswith("text/csv")
    assert 'filename="reports.csv"' in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [float(row["lesion_share"]) for row in rows] == pytest.approx(SHARES)
    assert rows[0]["study_date"] == "2026-01-02"


@pytest.mark.usefixtures("several")
def test_csv_is_filtered_like_the_list(caller: Caller) -> None:
    answer = caller.get("/v1/jobs", format="csv", state="queued")

    [row] = csv.DictReader(io.StringIO(answer.text))
    assert (row["state"], row["priority"]) == ("queued", "stat")


@pytest.mark.usefixtures("several")
def test_csv_of_studies_counts_what_is_kept(caller: Caller) -> None:
    rows = list(csv.DictReader(io.StringIO(caller.get("/v1/studies", format="csv").text)))

    assert len(rows) == len(SHARES) + 1
    assert {(row["series"], row["instances"]) for row in rows} == {("1", "2")}


def test_csv_of_nothing_has_its_header(caller: Caller) -> None:
    assert caller.get("/v1/jobs", format="csv").text.startswith("id,study_id,")


def test_json_is_what_browsers_and_programs_get(caller: Caller) -> None:
    for accept in ("*/*", "application/json", "text/html,*/*;q=0.8", ""):
        answer = caller.get("/v1/jobs", headers={"Accept": accept})
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_cell_never_begins_as_a_formula_does(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["1.2.840", "", -1.5, None, 0])
def test_other_cells_stay_as_they_are(value: Any) -> None:
    assert cell(value) == value
