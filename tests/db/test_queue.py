"""The queue as a whole: its length, its age, and whether anybody serves it."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.changes import cancel_job
from db.claims import give_back, take_back_overdue
from db.overview import glance
from db.queue import Depth, check_flow, count_by_state, count_tried_before, depths, flow
from db.session import Sessions
from db.tables import TenantRow
from db.workers import Load, Work, heartbeat
from hilum.errors import QueueStalled
from hilum.jobs import Priority, State
from hilum.workers import WorkerState
from tests.db.factories import claim, finished_job, queue_job
from tests.db.test_workers import make_worker

STALL_S = 60.0


def let_time_pass(session: Session, seconds: float) -> None:
    """Move everything that has happened into the past; leases and heartbeats stay."""
    session.flush()
    by = {"by": f"{seconds} seconds"}
    for change in (
        "jobs SET queued_at = queued_at - :by ::interval, retry_at = retry_at - :by ::interval",
        "job_events SET at = at - :by ::interval",
    ):
        session.execute(text(f"UPDATE {change}"), by)
    session.expire_all()


def is_stalled(session: Session) -> bool:
    return flow(session).is_stalled(STALL_S)


def test_what_waits_is_counted_by_priority_with_the_age_of_the_oldest(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id, priority=Priority.STAT)
        let_time_pass(session, 90)
        queue_job(session, tenant.id, priority=Priority.STAT)
        finished_job(session, tenant.id, priority=Priority.BULK)

        found = depths(session)

    assert found[Priority.STAT].jobs == 2
    assert found[Priority.STAT].oldest_s == pytest.approx(90, abs=5)
    assert (found[Priority.ROUTINE], found[Priority.BULK]) == (Depth(), Depth())


def test_jobs_are_counted_in_every_state(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)
        claim(session, queue_job(session, tenant.id))
        for _ in range(2):
            cancel_job(session, tenant.id, queue_job(session, tenant.id).id)
        queue_job(session, tenant.id)

        found = count_by_state(session)

    assert set(found) == set(State)
    assert (found[State.QUEUED], found[State.RUNNING], found[State.SUCCEEDED]) == (1, 1, 1)
    assert (found[State.CANCELLED], found[State.FAILED]) == (2, 0)


def test_jobs_that_were_tried_before_are_counted_while_they_wait_and_run(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        waits, runs, first = (queue_job(session, tenant.id) for _ in range(3))
        for job in (waits, runs):
            give_back(session, claim(session, job), "The disk is full.", max_attempts=3)
        for job in (runs, first):
            claim(session, job)

        assert count_tried_before(session) == 2


def test_job_that_waits_while_no_worker_lives_is_a_stall(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        let_time_pass(session, STALL_S + 5)

        with pytest.raises(QueueStalled, match=r"6[5-9] s ago.* none was taken ever, .*0 workers"):
            check_flow(session, stall_s=STALL_S)


def test_job_that_waits_beside_an_idle_worker_is_a_stall(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)
        queue_job(session, tenant.id)
        heartbeat(session, make_worker(), Work(), Load())
        let_time_pass(session, STALL_S + 5)

        with pytest.raises(QueueStalled, match=r"none was taken for 6[5-9] s, .*1 workers live"):
            check_flow(session, stall_s=STALL_S)


def test_job_that_waits_for_workers_at_work_on_long_jobs_is_no_stall(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        long = queue_job(session, tenant.id)
        claim(session, long)
        queue_job(session, tenant.id)
        heartbeat(session, make_worker(), Work(WorkerState.BUSY, long.id), Load())
        let_time_pass(session, 3600)

        assert not is_stalled(session)


def test_job_that_waits_behind_one_whose_worker_died_is_a_stall(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        claim(session, queue_job(session, tenant.id), lease_s=-1)
        queue_job(session, tenant.id)
        let_time_pass(session, STALL_S + 5)

        assert is_stalled(session)


def test_long_queue_of_which_one_job_was_taken_lately_is_no_stall(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        for _ in range(3):
            queue_job(session, tenant.id)
        let_time_pass(session, 3600)
        finished_job(session, tenant.id)

        assert not is_stalled(session)


def test_job_that_came_a_moment_ago_is_no_stall(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id)
        let_time_pass(session, 3600)
        queue_job(session, tenant.id)

        assert not is_stalled(session)


def test_job_that_waits_for_its_next_attempt_is_no_stall_until_that_is_due(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        taken = claim(session, queue_job(session, tenant.id))
        give_back(session, taken, "The disk is full.", max_attempts=3, wait_s=120)
        let_time_pass(session, STALL_S + 5)

        early = is_stalled(session)
        let_time_pass(session, 120)
        late = is_stalled(session)

    assert (early, late) == (False, True)


def test_job_taken_back_from_a_dead_worker_gets_its_time_anew(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        claim(session, queue_job(session, tenant.id), lease_s=-1)
        let_time_pass(session, 3600)
        take_back_overdue(session, max_attempts=3)

        assert not is_stalled(session)


def test_empty_queue_is_no_stall_whoever_is_away(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        never = flow(session)
        finished_job(session, tenant.id)
        let_time_pass(session, 3600)
        check_flow(session, stall_s=STALL_S)

        assert (never.due_s, never.claimed_s) == (None, None)
        assert not is_stalled(session)


def test_glance_has_every_number_of_an_empty_installation(sessions: Sessions) -> None:
    with sessions.begin() as session:
        found = glance(session)

    assert set(found.jobs) == set(State)
    assert set(found.depths) == set(Priority)
    assert ("archive", "delivered") in found.deliveries
    assert (found.tried_before, found.workers) == (0, [])
