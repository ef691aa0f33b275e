"""Every figure is held to cases that were made for it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.agreement import Agreement, agreements
from db.claims import finish_job
from db.feedback import Word, say
from db.insights import (
    Asked,
    Bar,
    DayCount,
    Failure,
    Speed,
    Wait,
    cases_by_day,
    failures,
    lesion_shares,
    share_edges,
    speeds,
    waits,
)
from db.reports import report_for
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import JobRow, ReportRow, TenantRow
from db.tenants import add_tenant
from db.users import add_user
from hilum.grading import MOSMED, Verdict
from hilum.jobs import Priority, State
from tests.db.factories import claim, make_report, queue_job

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MARCH = Asked(EVERYTHING, datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


@pytest.fixture
def session(sessions: Sessions, tenant: TenantRow) -> Iterator[Session]:
    assert tenant
    with sessions() as session:
        yield session


def case(
    session: Session,
    tenant: TenantRow,
    share: float = 0.1,
    *,
    at: datetime = NOON,
    seconds: float = 1.0,
    worker: str = "gpu-1:7",
    network: str = "resnet50@4.0.0",
) -> ReportRow:
    """A report that was written at an instant and took some seconds a slice."""
    job = queue_job(session, tenant.id, network=network)
    # A report of the factory has two slices.
    report = replace(make_report(share), timings_s={"slices": 2 * seconds})
    finish_job(session, claim(session, job, worker=worker), report, [])
    session.flush()
    row = report_for(session, tenant.id, job.id)
    row.created_at = at
    session.flush()
    return row


def ended(session: Session, tenant: TenantRow, **values: Any) -> JobRow:
    """A job with any values."""
    job = queue_job(session, tenant.id, priority=values.pop("priority", Priority.ROUTINE))
    for name, value in values.items():
        setattr(job, name, value)
    session.flush()
    return job


# ── Cases by day ──────────────────────────────────────────────────────────────────────────────


def test_cases_are_counted_by_day_and_verdict(session: Session, tenant: TenantRow) -> None:
    for share in (0.0, 0.1, 0.1, 0.4):
        case(session, tenant, share)
    case(session, tenant, 0.1, at=NOON + timedelta(days=1))

    assert cases_by_day(session, MARCH, zone=ZoneInfo("UTC")) == [
        DayCount(date(2026, 3, 10), Verdict.ALARMING, 1),
        DayCount(date(2026, 3, 10), Verdict.MILD, 2),
        DayCount(date(2026, 3, 10), Verdict.NO_FINDING, 1),
        DayCount(date(2026, 3, 11), Verdict.MILD, 1),
    ]


@pytest.mark.parametrize(
    ("zone", "day"),
    [("UTC", 10), ("Europe/Vienna", 11), ("America/New_York", 10), ("Pacific/Kiritimati", 11)],
)
def test_day_ends_at_the_midnight_of_its_zone(
    session: Session, tenant: TenantRow, zone: str, day: int
) -> None:
    case(session, tenant, at=datetime(2026, 3, 10, 23, 30, tzinfo=UTC))

    [count] = cases_by_day(session, MARCH, zone=ZoneInfo(zone))

    assert count.day == date(2026, 3, day)


@pytest.mark.parametrize(
    ("zone", "day"),
    [
        # Clocks go forward in the night, back in the night, and forward at midnight itself.
        ("Europe/Vienna", datetime(2026, 3, 29)),  # noqa: DTZ001 - each zone has its own
        ("America/New_York", datetime(2026, 11, 1)),  # noqa: DTZ001 - likewise
        ("Asia/Beirut", datetime(2026, 3, 29)),  # noqa: DTZ001 - likewise
    ],
)
def test_day_on_which_clocks_change_holds_its_own_hours(
    session: Session, tenant: TenantRow, zone: str, day: datetime
) -> None:
    begun = day.replace(tzinfo=UTC) - timedelta(hours=12)
    for number in range(48):
        case(session, tenant, at=begun + timedelta(hours=number, minutes=30))
    asked = replace(MARCH, until=datetime(2026, 12, 1, tzinfo=UTC))

    counts = cases_by_day(session, asked, zone=ZoneInfo(zone))

    told = select(func.timezone(zone, ReportRow.created_at))
    expected = Counter(at.date() for at in session.scalars(told))
    assert {count.day: count.n for count in counts} == expected
    assert len(expected) >= 3


def test_period_holds_its_first_instant_and_not_its_last(
    session: Session, tenant: TenantRow
) -> None:
    for at in (MARCH.since, MARCH.until, MARCH.since - timedelta(microseconds=1)):
        case(session, tenant, at=at)

    assert [count.n for count in cases_by_day(session, MARCH, zone=ZoneInfo("UTC"))] == [1]


@pytest.mark.parametrize(
    ("changes", "n"),
    [
        ({"network": "resnet50"}, 2),
        ({"network": "resnet50@4.0.0"}, 1),
        ({"network": "resnet"}, 0),
        ({"pipeline": "ct-lesions"}, 3),
        ({"pipeline": "%"}, 0),
        ({"network": "'; DROP TABLE reports; --"}, 0),
        ({"scope": Scope.of()}, 0),
        ({"scope": Scope.of(UUID(int=7))}, 0),
    ],
)
def test_only_what_is_asked_for_is_counted(
    session: Session, tenant: TenantRow, changes: dict[str, Any], n: int
) -> None:
    for network in ("resnet50@4.0.0", "resnet50@3.0.0", "resnet101@4.0.0"):
        case(session, tenant, network=network)

    found = cases_by_day(session, replace(MARCH, **changes), zone=ZoneInfo("UTC"))

    assert sum(count.n for count in found) == n


def test_cases_of_another_hospital_are_not_counted(session: Session, tenant: TenantRow) -> None:
    other = add_tenant(session, "elsewhere")
    session.flush()
    case(session, tenant)
    case(session, other)
    own = replace(MARCH, scope=Scope.of(tenant.id))

    assert [count.n for count in cases_by_day(session, own, zone=ZoneInfo("UTC"))] == [1]
    assert [speed.n for speed in speeds(session, own) if speed.worker is None] == [1]
    assert sum(bar.n for bar in lesion_shares(session, own, MOSMED)) == 1


# ── Speed ─────────────────────────────────────────────────────────────────────────────────────


def test_speed_is_told_of_each_network_and_of_each_worker(
    session: Session, tenant: TenantRow
) -> None:
    for seconds in (1.0, 2.0, 3.0):
        case(session, tenant, seconds=seconds, worker="gpu-1:7")
    case(session, tenant, seconds=8.0, worker="gpu-2:7")
    case(session, tenant, seconds=5.0, worker="gpu-2:8", network="resnet101@4.0.0")

    assert speeds(session, MARCH) == [
        Speed("resnet101@4.0.0", None, None, 1, 5.0, 5.0),
        Speed("resnet101@4.0.0", "gpu-2", "cpu", 1, 5.0, 5.0),
        Speed("resnet50@4.0.0", None, None, 4, 2.5, pytest.approx(6.5)),
        Speed("resnet50@4.0.0", "gpu-1", "cpu", 3, 2.0, pytest.approx(2.8)),
        Speed("resnet50@4.0.0", "gpu-2", "cpu", 1, 8.0, 8.0),
    ]


def test_processes_of_one_host_are_one_worker(session: Session, tenant: TenantRow) -> None:
    case(session, tenant, worker="gpu-1:7")
    case(session, tenant, worker="gpu-1:8")

    assert [(one.worker, one.n) for one in speeds(session, MARCH)] == [(None, 2), ("gpu-1", 2)]


def test_report_from_before_workers_were_kept_has_a_nameless_one(
    session: Session, tenant: TenantRow
) -> None:
    row = case(session, tenant)
    row.worker = row.device = None
    session.flush()

    assert [(one.worker, one.device) for one in speeds(session, MARCH)] == [(None, None), ("", "")]


# ── Waits ─────────────────────────────────────────────────────────────────────────────────────


def test_waits_are_told_by_urgency_the_most_urgent_first(
    session: Session, tenant: TenantRow
) -> None:
    for waited_s in range(101):
        queued_at = NOON - timedelta(seconds=waited_s)
        ended(session, tenant, queued_at=queued_at, started_at=NOON)
    ended(session, tenant, priority=Priority.STAT, queued_at=NOON, started_at=NOON)

    assert waits(session, MARCH) == [
        Wait(Priority.STAT, 1, 0.0, 0.0, 0.0),
        Wait(Priority.ROUTINE, 101, 50.0, 90.0, 99.0),
    ]


def test_job_that_was_queued_anew_has_not_waited_yet(session: Session, tenant: TenantRow) -> None:
    ended(session, tenant, queued_at=NOON + timedelta(seconds=1), started_at=NOON)
    ended(session, tenant, queued_at=NOON, started_at=None)

    assert waits(session, MARCH) == []


# ── Failures ──────────────────────────────────────────────────────────────────────────────────


def test_failures_are_counted_by_code_the_most_frequent_first(
    session: Session, tenant: TenantRow
) -> None:
    for state, code in (
        (State.FAILED, "not_axial"),
        (State.FAILED, "missing_slices"),
        (State.FAILED, "missing_slices"),
        (State.QUARANTINED, "worker_lost"),
        (State.CANCELLED, None),
        (State.FAILED, None),
    ):
        ended(session, tenant, state=state, error_code=code, finished_at=NOON)

    assert failures(session, MARCH) == [
        Failure("missing_slices", 2),
        Failure("not_axial", 1),
        Failure("worker_lost", 1),
        Failure("", 1),
    ]


# ── Lesion share ──────────────────────────────────────────────────────────────────────────────


def test_every_cut_is_an_edge_of_the_bars() -> None:
    edges = share_edges(MOSMED)

    assert {0.005, 0.25, 0.5, 0.75} < set(edges)
    assert (edges[0], edges[-1]) == (0.0, 1.0)
    assert edges == sorted(set(edges))
    assert len(edges) == 22


def test_shares_fall_into_the_bar_that_begins_at_them(session: Session, tenant: TenantRow) -> None:
    for share in (0.0, 0.004, 0.005, 0.25, 0.2499, 1.0):
        case(session, tenant, share)

    bars = [bar for bar in lesion_shares(session, MARCH, MOSMED) if bar.n]

    assert bars == [
        Bar(0.0, 0.005, 2),
        Bar(0.005, 0.05, 1),
        Bar(0.2, 0.25, 1),
        Bar(0.25, 0.3, 1),
        Bar(0.95, 1.0, 1),
    ]


# ── Agreement ─────────────────────────────────────────────────────────────────────────────────


def judged(session: Session, report: ReportRow, *words: Word) -> None:
    user = add_user(session, f"reader-{uuid4()}")
    session.flush()
    for word in words:
        row = say(session, report, user.id, word, seen=report.verdict)
        assert row is not None
        row.created_at = NOON
        session.flush()


def test_agreement_counts_the_newest_word_of_each_reader(
    session: Session, tenant: TenantRow
) -> None:
    mild, alarming = case(session, tenant, 0.1), case(session, tenant, 0.4)
    agrees, wrong = Word(agrees=True), Word(agrees=False, verdict=Verdict.ALARMING)
    judged(session, mild, agrees, wrong)
    judged(session, mild, wrong, agrees)
    judged(session, alarming, agrees)
    judged(session, alarming, Word(agrees=False))

    whole, by_network = agreements(session, MARCH)

    assert whole.network is None
    assert by_network == replace(whole, network="resnet50@4.0.0")
    assert whole.agreed is not None
    assert (whole.agreed.value, whole.agreed.n) == (0.5, 4)
    assert dict(whole.table) == {
        ("Mild", "Alarming"): 1,
        ("Mild", "Mild"): 1,
        ("Alarming", "Alarming"): 1,
    }
    assert whole.unnamed == 1
    # Observed 2/3; by chance 2/3 * 1/3 + 1/3 * 2/3 = 4/9; (2/3 - 4/9) / (5/9) = 0.4.
    assert whole.kappa is not None
    assert (whole.kappa.value, whole.kappa.n) == (pytest.approx(0.4), 3)


def test_agreement_is_told_of_each_network(session: Session, tenant: TenantRow) -> None:
    judged(session, case(session, tenant, network="resnet50@4.0.0"), Word(agrees=True))
    judged(session, case(session, tenant, network="resnet101@4.0.0"), Word(agrees=False))

    whole, one, other = agreements(session, MARCH)

    shares = {
        each.network: each.agreed.value for each in (whole, one, other) if each.agreed is not None
    }
    assert shares == {None: 0.5, "resnet101@4.0.0": 0.0, "resnet50@4.0.0": 1.0}


def test_words_of_another_hospital_or_time_do_not_count(
    session: Session, tenant: TenantRow
) -> None:
    judged(session, case(session, tenant), Word(agrees=True))

    for asked in (
        replace(MARCH, scope=Scope.of()),
        replace(MARCH, until=NOON),
        replace(MARCH, network="resnet101"),
    ):
        assert agreements(session, asked) == [Agreement(None, None, None, {}, 0)]


def test_nothing_at_all_has_no_figures(session: Session) -> None:
    assert cases_by_day(session, MARCH, zone=ZoneInfo("UTC")) == []
    assert speeds(session, MARCH) == waits(session, MARCH) == failures(session, MARCH) == []
    assert sum(bar.n for bar in lesion_shares(session, MARCH, MOSMED)) == 0
    assert agreements(session, MARCH) == [Agreement(None, None, None, {}, 0)]
