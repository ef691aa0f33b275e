"""A drained worker: it finishes, takes no more, and its followers heed the same wish."""

from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.claims import Claim
from db.drains import drain_worker, is_drained, release_worker
from db.session import Sessions
from db.tables import DrainRow, TenantRow
from db.turns import take_turn
from db.workers import (
    KEPT_S,
    Load,
    Work,
    Worker,
    count_live,
    forget_workers,
    heartbeat,
    known_workers,
    take_name,
)
from hilum.errors import UnknownWorker
from hilum.workers import WorkerState
from tests.db.factories import queue_job
from tests.db.test_turns import RULES
from tests.db.test_workers import grow_silent, make_worker, states

NAME = "ward-3:17"


def take(session: Session, pid: int = 18) -> Claim | None:
    return take_turn(session, RULES, worker=f"ward-3:{pid}", lease_s=60, max_attempts=3)


def test_worker_that_is_drained_takes_no_more_jobs_until_it_is_released(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        heartbeat(session, make_worker(NAME), Work(), Load())
        heartbeat(session, make_worker("ward-4:1"), Work(), Load())
        for _ in range(2):
            queue_job(session, tenant.id)

        drain_worker(session, NAME, by="user ada")

        assert take(session) is None
        assert take_turn(session, RULES, worker="ward-4:18", lease_s=60, max_attempts=3)
        release_worker(session, NAME)
        assert take(session) is not None


def test_it_says_at_once_and_with_every_heartbeat_how_far_it_is(
    sessions: Sessions, tenant: TenantRow
) -> None:
    worker = make_worker(NAME)
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        heartbeat(session, worker, Work(WorkerState.BUSY, job.id), Load())

        said = []
        drain_worker(session, NAME, by="user ada")
        said.append(states(session)[worker.id])
        heartbeat(session, worker, Work(WorkerState.BUSY, job.id), Load())
        said.append(states(session)[worker.id])
        heartbeat(session, worker, Work(), Load())
        session.expire_all()
        said.append(states(session)[worker.id])
        counted = count_live(session)
        release_worker(session, NAME)
        said.append(states(session)[worker.id])

    drained, draining, idle = WorkerState.DRAINED, WorkerState.DRAINING, WorkerState.IDLE
    assert said == [draining, draining, drained, idle]
    assert counted == 0


def test_worker_that_stops_by_itself_says_so_whatever_was_asked(sessions: Sessions) -> None:
    worker = make_worker(NAME)
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())
        drain_worker(session, NAME, by="user ada")

        heartbeat(session, worker, Work(WorkerState.DRAINING), Load())

        assert states(session)[worker.id] is WorkerState.DRAINING


def test_process_that_follows_under_the_same_name_heeds_the_wish(
    sessions: Sessions, tenant: TenantRow
) -> None:
    before = make_worker(NAME)
    after = Worker(uuid4(), NAME, 99, "cpu", None, "0.1.0")
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        heartbeat(session, before, Work(), Load())
        drain_worker(session, NAME, by="user ada")

        take_name(session, after)
        heartbeat(session, after, Work(), Load())

        [seen] = known_workers(session)
        assert (seen.row.id, seen.state) == (after.id, WorkerState.DRAINED)
        assert seen.drain is not None
        assert seen.drain.by == "user ada"
        assert take(session, pid=99) is None
        # What another machine calls by the same number is another worker.
        assert not session.scalar(select(is_drained("ward-4:99")))


def test_asking_twice_changes_nothing(sessions: Sessions) -> None:
    with sessions.begin() as session:
        heartbeat(session, make_worker(NAME), Work(), Load())

        asked = [drain_worker(session, NAME, by=name) for name in ("ada", "otto")]
        released = [release_worker(session, NAME) for _ in range(2)]

    assert (asked, released) == ([True, False], [True, False])


@pytest.mark.parametrize(
    "ask", [lambda s: drain_worker(s, "who:1", by="x"), lambda s: release_worker(s, "who:1")]
)
def test_unknown_worker_is_told_by_name(ask: object, sessions: Sessions) -> None:
    with pytest.raises(UnknownWorker, match="'who:1'"), sessions.begin() as session:
        ask(session)  # type: ignore[operator] # either of the two above


def test_wish_is_forgotten_with_the_worker(sessions: Sessions) -> None:
    worker = make_worker(NAME)
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())
        drain_worker(session, NAME, by="user ada")
        forget_workers(session)
        kept = session.scalars(select(DrainRow)).all()
        grow_silent(session, worker, seconds=KEPT_S + 1)

        forget_workers(session)

        assert len(kept) == 1
        assert session.execute(text("SELECT count(*) FROM drains")).scalar_one() == 0
