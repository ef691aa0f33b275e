"""The queue hospital by hospital, as whoever may see some of them sees it."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.lines import running_jobs, until_empty_s, waiting_lines
from db.pauses import pause_queue
from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from hilum.jobs import Priority
from tests.db.factories import claim, have_worker, queue_job
from tests.db.test_outlook import finish_at_speed
from tests.db.test_turns import wait


def fill(session: Session, tenant: TenantRow) -> TenantRow:
    """Have a second a slice, one worker, and two hospitals that wait; return the other one."""
    have_worker(session)
    finish_at_speed(session, tenant, seconds=100.0, slices=100)
    other = add_tenant(session, "st-mary")
    for _ in range(3):
        job = queue_job(session, tenant.id, slice_count=50)
    wait(session, [job], minutes=7)
    queue_job(session, tenant.id, slice_count=10, priority=Priority.STAT)
    queue_job(session, other.id, slice_count=200)
    session.expire_all()
    return other


def test_lines_have_their_length_age_and_end(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        fill(session, tenant)

        lines = waiting_lines(session, EVERYTHING)

    assert [(line.priority, line.tenant, line.jobs, line.slices) for line in lines] == [
        (Priority.STAT, "st-vincent", 1, 10),
        (Priority.ROUTINE, "st-mary", 1, 200),
        (Priority.ROUTINE, "st-vincent", 3, 150),
    ]
    assert lines[2].oldest_s == pytest.approx(420, abs=5)
    assert lines[0].empty_s == pytest.approx(10, abs=1)
    # Everything that waits, by one worker.
    assert until_empty_s(lines) == pytest.approx(360, abs=1)


def test_other_hospitals_lines_are_not_told_but_waited_for(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = fill(session, tenant)

        [line] = waiting_lines(session, Scope.of(other.id))
        none = waiting_lines(session, Scope.of())

    assert (line.tenant, line.jobs) == ("st-mary", 1)
    # Served before the routine jobs of who was served already, after the urgent one.
    assert line.empty_s == pytest.approx(210, abs=1)
    assert none == []


def test_nobody_knows_when_a_paused_line_is_empty(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        other = fill(session, tenant)
        pause_queue(session, other.id, by="user ada", reason="Moved.")

        lines = waiting_lines(session, EVERYTHING)

    assert [(line.paused, line.empty_s is None) for line in lines] == [
        (False, False),
        (True, True),
        (False, False),
    ]
    assert until_empty_s(lines) == pytest.approx(160, abs=1)


def test_without_a_worker_nobody_knows_the_end(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)

        assert until_empty_s(waiting_lines(session, EVERYTHING)) is None
        session.execute(text("DELETE FROM job_events"))
        session.execute(text("DELETE FROM jobs"))
        assert until_empty_s(waiting_lines(session, EVERYTHING)) == 0.0


def test_what_runs_is_told_with_its_study_to_who_may_see_it(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
        own, theirs = queue_job(session, tenant.id), queue_job(session, other.id)
        for job in (own, theirs):
            claim(session, job)

        every = running_jobs(session, EVERYTHING)
        some = running_jobs(session, Scope.of(other.id))

    assert {job.id for job in every} == {own.id, theirs.id}
    assert [(job.id, job.study.study_uid) for job in some] == [(theirs.id, "1.2.840.1")]
