"""Workers as rows: who lives, who is lost, who is gone, and whose job is whose."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from db.scope import EVERYTHING, Scope
from db.session import Sessions
from db.tables import JobEventRow, JobRow, TenantRow, WorkerRow
from db.tenants import add_tenant
from db.workers import (
    Load,
    Work,
    Worker,
    count_live,
    forget_workers,
    heartbeat,
    known_workers,
    live_workers,
    say_goodbye,
    take_name,
)
from hilum.workers import LOST_S, WorkerState
from tests.db.factories import queue_job


def make_worker(name: str = "ward-3:17") -> Worker:
    return Worker(uuid4(), name, 18, "cuda:0", "NVIDIA A30", "0.1.0")


def grow_silent(session: Session, worker: Worker, *, seconds: float) -> None:
    session.execute(
        text("UPDATE workers SET seen_at = seen_at - :by WHERE id = :id"),
        {"by": timedelta(seconds=seconds), "id": worker.id},
    )


def states(session: Session) -> dict[UUID, WorkerState]:
    return {seen.row.id: seen.state for seen in known_workers(session)}


def test_worker_that_speaks_is_a_row_that_says_what_it_said(
    sessions: Sessions, tenant: TenantRow
) -> None:
    worker = make_worker()
    load = Load(["resnet50@4.0.0"], 2**31, 2**33, 2**35, 0.75)
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)

        heartbeat(session, worker, Work(WorkerState.BUSY, job.id, 3), load)

    with sessions.begin() as session:
        [row] = live_workers(session)
    assert (row.name, row.pid, row.device, row.gpu) == ("ward-3:17", 18, "cuda:0", "NVIDIA A30")
    assert (row.state, row.job_id, row.jobs_done) == (WorkerState.BUSY, job.id, 3)
    assert (row.networks, row.memory_bytes) == (["resnet50@4.0.0"], 2**31)
    assert (row.gpu_memory_used_bytes, row.gpu_memory_total_bytes) == (2**33, 2**35)
    assert row.gpu_utilisation == pytest.approx(0.75)


def test_later_heartbeat_changes_the_same_row(sessions: Sessions) -> None:
    worker = make_worker()
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())
        first = session.scalars(select(WorkerRow.started_at)).one()

    with sessions.begin() as session:
        heartbeat(session, worker, Work(jobs_done=1), Load(memory_bytes=5))

    with sessions.begin() as session:
        row = session.scalars(select(WorkerRow)).one()
    assert (row.jobs_done, row.memory_bytes, row.started_at) == (1, 5, first)
    assert row.seen_at > first


def test_worker_unheard_of_for_three_heartbeats_is_lost(sessions: Sessions) -> None:
    silent, heard = make_worker("a:1"), make_worker("b:1")
    with sessions.begin() as session:
        for worker in (silent, heard):
            heartbeat(session, worker, Work(), Load())
        grow_silent(session, silent, seconds=LOST_S + 1)
        grow_silent(session, heard, seconds=LOST_S - 5)

    with sessions.begin() as session:
        assert states(session) == {silent.id: WorkerState.LOST, heard.id: WorkerState.IDLE}
        assert [row.id for row in live_workers(session)] == [heard.id]
        assert count_live(session) == 1


def test_worker_that_said_goodbye_is_known_no_longer(sessions: Sessions) -> None:
    worker = make_worker()
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())

        say_goodbye(session, worker.id)

        assert (states(session), count_live(session)) == ({}, 0)


def test_draining_worker_lives_and_is_not_counted_on(sessions: Sessions) -> None:
    worker = make_worker()
    with sessions.begin() as session:
        heartbeat(session, worker, Work(WorkerState.DRAINING), Load())

        assert states(session) == {worker.id: WorkerState.DRAINING}
        assert (len(live_workers(session)), count_live(session)) == (1, 0)


def test_process_that_takes_a_name_ends_who_had_it(sessions: Sessions) -> None:
    killed, next_one, other = make_worker("a:1"), make_worker("a:1"), make_worker("b:1")
    with sessions.begin() as session:
        for worker in (killed, other, next_one):
            heartbeat(session, worker, Work(), Load())

        take_name(session, next_one)

        assert set(states(session)) == {next_one.id, other.id}


def test_worker_whose_row_was_taken_for_dead_comes_back_with_its_next_word(
    sessions: Sessions,
) -> None:
    worker = make_worker()
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())
        say_goodbye(session, worker.id)

        heartbeat(session, worker, Work(), Load())

        assert count_live(session) == 1


def test_job_of_a_worker_is_told_to_its_own_tenant_and_to_nobody_else(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "elsewhere")
        job = queue_job(session, tenant.id)
        heartbeat(session, make_worker(), Work(WorkerState.BUSY, job.id), Load())

        told = {
            scope: [seen.job_id for seen in known_workers(session, scope)]
            for scope in (Scope.of(tenant.id), Scope.of(other.id), EVERYTHING)
        }

    assert list(told.values()) == [[job.id], [None], [job.id]]


def test_job_that_is_removed_leaves_its_worker_without_one(
    sessions: Sessions, tenant: TenantRow
) -> None:
    worker = make_worker()
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        heartbeat(session, worker, Work(WorkerState.BUSY, job.id), Load())
        session.execute(delete(JobEventRow))
        session.execute(delete(JobRow))

        heartbeat(session, worker, Work(WorkerState.BUSY, job.id, 1), Load())

    with sessions.begin() as session:
        row = session.scalars(select(WorkerRow)).one()
    assert (row.state, row.job_id, row.jobs_done) == (WorkerState.BUSY, None, 1)


def test_rows_are_forgotten_after_a_day(sessions: Sessions) -> None:
    old, lost = make_worker("a:1"), make_worker("b:1")
    with sessions.begin() as session:
        for worker in (old, lost):
            heartbeat(session, worker, Work(), Load())
        grow_silent(session, old, seconds=24 * 3600 + 1)
        grow_silent(session, lost, seconds=23 * 3600)

        forget_workers(session)

        assert states(session) == {lost.id: WorkerState.LOST}


def test_device_may_be_all_there_is_to_say(sessions: Sessions) -> None:
    worker = replace(make_worker(), device="cpu", gpu=None)
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())

        [row] = live_workers(session)

    assert (row.gpu, row.gpu_memory_used_bytes, row.gpu_utilisation) == (None, None, None)
