from collections import Counter
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from db.claims import finish_job
from db.jobs import job_events
from db.regrades import (
    ask_regrade,
    count_otherwise,
    foretell,
    is_asked,
    regrade,
    regrade_more,
    regrade_report,
)
from db.reports import report_for
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import ReportRow, TenantRow
from db.tenants import add_tenant
from db.thresholds import add_thresholds, choose_thresholds, current_use
from hilum.grading import MOSMED, Grade, Thresholds
from tests.db.factories import claim, finished_job, make_report, queue_job

STRICT = replace(MOSMED, version="strict-1", bins=(0.08, 0.50, 0.75))
"""Thresholds under which a share of 10 % is Alarming."""

SHARES = (0.0, 0.005, 0.01, 0.08, 0.1, 0.25, 0.5, 0.6, 0.75, 1.0)
"""On the cuts, and between them."""


def test_new_thresholds_change_verdicts_and_are_remembered(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = finished_job(session, tenant.id, share=0.1)

    with sessions.begin() as session:
        changes = list(regrade(session, STRICT))

    with sessions.begin() as session:
        row = report_for(session, tenant.id, job.id)
        event = job_events(session, job.id)[-1]
    assert [change.verdict_changed for change in changes] == [True]
    assert (row.verdict, row.grade, row.thresholds) == ("Alarming", "CT-2", "strict-1")
    assert row.document["assessment"]["verdict"] == "Alarming"
    assert (event.event, event.detail["after"]) == ("regraded", ["strict-1", "CT-2", "Alarming"])


@pytest.mark.parametrize("is_kept", [True, False])
def test_grading_anew_keeps_the_doubts_and_drops_the_old_cuts_sentences(
    sessions: Sessions, tenant: TenantRow, *, is_kept: bool
) -> None:
    before = replace(STRICT, version="strict-0", bins=(0.2, 0.5, 0.75)) if is_kept else MOSMED
    with sessions.begin() as session:
        if is_kept:
            add_thresholds(session, before, by="a test")
        job = queue_job(session, tenant.id)
        # Within 5 % of the old cut, and far from the new one at 8 %.
        doubts = ("The left lung was not found.",)
        report = make_report(0.22, doubts=doubts, thresholds=before)
        finish_job(session, claim(session, job), report, [])
        assert len(report.assessment.review) == 2

        list(regrade(session, STRICT))

        row = report_for(session, tenant.id, job.id)
    assert row.document["assessment"]["review"] == ["The left lung was not found."]


def test_reports_of_the_same_thresholds_are_left_alone(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)

        assert list(regrade(session, MOSMED)) == []
        assert foretell(session, MOSMED) == []


def test_grading_anew_can_be_kept_to_one_tenant(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)
        other = finished_job(session, add_tenant(session, "charite").id)
        scope = Scope.of(other.tenant_id)

        told = foretell(session, STRICT, scope)
        changes = list(regrade(session, STRICT, scope))

    assert [change.job_id for change in changes] == [other.id]
    assert [(change.after, change.count) for change in told] == [(("CT-2", "Alarming"), 1)]


def test_nothing_is_foretold_of_no_hospital(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)

        assert foretell(session, STRICT, Scope.of()) == []
        assert count_otherwise(session, STRICT.version, Scope.of()) == 0


def test_to_foretell_changes_nothing(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)

        foretell(session, STRICT)

        assert session.scalars(select(ReportRow.thresholds)).all() == [MOSMED.version]


@pytest.fixture
def archive(sessions: Sessions, tenant: TenantRow) -> Sessions:
    """A database of reports on every cut and between them, of two hospitals."""
    with sessions.begin() as session:
        other = add_tenant(session, "charite")
        for share in SHARES:
            finished_job(session, tenant.id, share=share)
            finished_job(session, other.id, share=share)
    return sessions


versions = count()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.sampled_from(SHARES[1:]), min_size=4, max_size=4, unique=True).map(sorted),
    alarming_from=st.sampled_from(list(Grade)[1:]),
)
def test_what_is_foretold_is_what_happens(
    archive: Sessions, cuts: list[float], alarming_from: Grade
) -> None:
    finding_from, *bins = cuts
    chosen = Thresholds(
        f"own-{next(versions)}", finding_from, tuple(bins), alarming_from, 0, 0, "A test."
    )
    with archive.begin() as session:
        told = foretell(session, chosen)

        happened = Counter(
            (one.before[1:], one.after[1:]) for one in regrade(session, chosen, EVERYTHING)
        )

    assert {(one.before, one.after): one.count for one in told} == happened
    assert happened.total() == 2 * len(SHARES)


# ── All, bit by bit ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def chosen(archive: Sessions) -> Sessions:
    """The same, after its people went over to strict thresholds."""
    with archive.begin() as session:
        add_thresholds(session, STRICT, by="user ada")
        choose_thresholds(session, STRICT.version, by="user ada")
    return archive


def rounds(sessions: Sessions) -> list[int]:
    done = []
    while True:
        with sessions.begin() as session:
            done.append(regrade_more(session))
        if not done[-1]:
            return done


def test_nothing_is_graded_anew_unless_somebody_asks(chosen: Sessions) -> None:
    assert rounds(chosen) == [0]


def test_all_are_graded_anew_some_at_a_time(
    chosen: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.regrades.CHUNK", 6)
    with chosen.begin() as session:
        asked = [ask_regrade(session, by="user ada") for _ in range(2)]

    done = rounds(chosen)

    with chosen.begin() as session:
        use = current_use(session)
        assert use is not None
        assert (is_asked(use), use.regraded_at is not None) == (False, True)
        assert count_otherwise(session, STRICT.version) == 0
        said = {
            event.detail["by"]
            for job_id in session.scalars(select(ReportRow.job_id))
            for event in job_events(session, job_id)
            if event.event == "regraded"
        }
    assert asked == [True, False]
    assert done == [6, 6, 6, 2, 0]
    assert said == {"user ada"}


def test_whoever_goes_over_again_leaves_the_rest_to_the_next_who_asks(
    chosen: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.regrades.CHUNK", 6)
    with chosen.begin() as session:
        ask_regrade(session, by="user ada")
    with chosen.begin() as session:
        regrade_more(session)
        choose_thresholds(session, MOSMED.version, by="user bob")

    assert rounds(chosen) == [0]


def test_report_that_another_has_is_left_and_not_forgotten(
    chosen: Sessions, tenant: TenantRow
) -> None:
    with chosen.begin() as session:
        ask_regrade(session, by="user ada")
        busy = session.scalars(
            select(ReportRow.job_id).where(ReportRow.tenant_id == tenant.id)
        ).all()
    with chosen.begin() as other:
        report_for(other, tenant.id, busy[0], is_locked=True)

        done = rounds(chosen)

        with chosen.begin() as session:
            use = current_use(session)
            assert use is not None
            assert is_asked(use)
    assert done == [2 * len(SHARES) - 1, 0]
    assert rounds(chosen) == [1, 0]


def test_one_that_chose_nothing_can_bring_all_back_to_what_ships(
    archive: Sessions, tenant: TenantRow
) -> None:
    with archive.begin() as session:
        job_id = session.scalars(
            select(ReportRow.job_id).where(ReportRow.tenant_id == tenant.id)
        ).all()[0]
        regrade_report(session, tenant.id, job_id, STRICT, by="user ada")
    with archive.begin() as session:
        ask_regrade(session, by="user ada")

    assert rounds(archive) == [1, 0]
