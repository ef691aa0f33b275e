from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.changes import cancel_job
from db.claims import Claim, give_back, hand_back, wait_for_network
from db.queue import flow
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.tenants import add_tenant
from db.turns import AGED_TURN, Rules, count_due, longest_wait_s, take_turn
from db.workers import Load, Work, Worker, heartbeat
from hilum.jobs import Priority, State
from hilum.workers import LOST_S, WorkerState
from tests.db.factories import queue_job
from tests.db.test_workers import grow_silent, make_worker

RULES = Rules(ageing_s=1800.0, stat_share=0.0)


def take(session: Session, *, rules: Rules = RULES, max_attempts: int = 3) -> Claim | None:
    return take_turn(session, rules, worker="gpu-1", lease_s=60, max_attempts=max_attempts)


def served(sessions: Sessions, turns: int) -> list[UUID]:
    """Take so many turns, each in a transaction of its own, as workers do."""
    taken = []
    for _ in range(turns):
        with sessions.begin() as session:
            claim = take(session)
        taken += [claim.job_id] if claim else []
    return taken


def start_counting(session: Session, turns: int = 0) -> None:
    """Have so many turns taken already."""
    session.execute(text("SELECT setval('job_turns', greatest(:n, 1), :n > 0)"), {"n": turns})


def wait(session: Session, jobs: Sequence[JobRow], *, minutes: float) -> None:
    session.execute(
        text("UPDATE jobs SET queued_at = now() - make_interval(secs => :s) WHERE id = ANY(:ids)"),
        {"s": 60 * minutes, "ids": [job.id for job in jobs]},
    )


def test_more_urgent_jobs_go_first_and_within_an_urgency_the_older_ones(
    sessions: Sessions, tenant: TenantRow
) -> None:
    order = (Priority.BULK, Priority.ROUTINE, Priority.STAT, Priority.ROUTINE, Priority.STAT)
    with sessions.begin() as session:
        bulk, routine, stat, routine_2, stat_2 = (
            queue_job(session, tenant.id, priority=priority) for priority in order
        )

    taken = served(sessions, 6)

    assert taken == [stat.id, stat_2.id, routine.id, routine_2.id, bulk.id]


def test_five_hundred_studies_of_one_hospital_do_not_hold_up_the_first_of_another(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        study = queue_job(session, tenant.id).study_id
        for number in range(499):
            queue_job(session, tenant.id, study_id=study, network=f"net@{number}.0.0")
        other = add_tenant(session, "st-mary")
        first, second = (queue_job(session, other.id) for _ in range(2))

    taken = served(sessions, 4)

    assert [taken.index(job.id) for job in (first, second)] == [1, 3]


def test_hospitals_with_urgent_jobs_take_turns_too(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
        urgent = [queue_job(session, tenant.id, priority=Priority.STAT) for _ in range(2)]
        routine = queue_job(session, other.id)
        theirs = queue_job(session, other.id, priority=Priority.STAT)

    taken = served(sessions, 4)

    assert taken == [urgent[0].id, theirs.id, urgent[1].id, routine.id]


def test_every_fourth_turn_goes_to_who_has_waited_longest(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        urgent = [queue_job(session, tenant.id, priority=Priority.STAT) for _ in range(8)]
        bulk = queue_job(session, tenant.id, priority=Priority.BULK)
        routine = queue_job(session, tenant.id)
        wait(session, [bulk], minutes=31)
        wait(session, [routine], minutes=40)
        start_counting(session)

    taken = served(sessions, 10)

    assert (taken.index(routine.id), taken.index(bulk.id)) == (AGED_TURN - 1, 2 * AGED_TURN - 1)
    assert [job for job in taken if job not in {bulk.id, routine.id}] == [job.id for job in urgent]


def test_nothing_is_served_early_before_it_has_waited_long(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        bulk = queue_job(session, tenant.id, priority=Priority.BULK)
        wait(session, [bulk], minutes=29)
        for _ in range(6):
            queue_job(session, tenant.id, priority=Priority.STAT)

    assert served(sessions, 7)[-1] == bulk.id


def test_turns_that_find_nothing_do_not_take_the_aged_ones_away(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        start_counting(session, AGED_TURN - 1)
    served(sessions, 5)
    with sessions.begin() as session:
        queue_job(session, tenant.id, priority=Priority.STAT)
        aged = queue_job(session, tenant.id, priority=Priority.BULK)
        wait(session, [aged], minutes=60)

    assert served(sessions, 1) == [aged.id]


def test_job_that_waits_for_its_next_attempt_is_left_alone_until_then(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        later = queue_job(session, tenant.id)
        held = take(session)
        assert held is not None
        give_back(session, held, "Wait.", max_attempts=3, wait_s=60)

        assert count_due(session, most=9) == 0
        assert take(session) is None

        session.execute(text("UPDATE jobs SET retry_at = now() - interval '1 second'"))
        assert count_due(session, most=9) == 1
        again = take(session)
        assert again is not None
        assert (again.job_id, again.attempt) == (later.id, 2)


def test_job_over_the_cap_ends_and_the_next_one_has_its_turn(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        spent, fresh = queue_job(session, tenant.id), queue_job(session, tenant.id)
        held = take(session)
        assert held is not None
        give_back(session, held, "Once.", max_attempts=3)

        # The cap was lowered while it waited.
        taken = take(session, max_attempts=1)

        session.refresh(spent)
    assert taken is not None
    assert taken.job_id == fresh.id
    assert spent.state is State.FAILED


def test_cancelled_job_has_no_turn(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        cancel_job(session, tenant.id, queue_job(session, tenant.id).id)

        assert take(session) is None


def test_many_workers_at_once_take_each_job_once_and_in_order(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id) for _ in range(20)]

    def take_one(_: int) -> UUID | None:
        with sessions.begin() as session:
            claim = take(session)
            return claim.job_id if claim else None

    with ThreadPoolExecutor(5) as pool:
        taken = list(pool.map(take_one, range(25)))

    assert sorted(filter(None, taken)) == sorted(job.id for job in jobs)
    assert taken.count(None) == 5


def test_due_jobs_are_counted_no_further_than_asked(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        for _ in range(3):
            queue_job(session, tenant.id)

        assert [count_due(session, most=most) for most in (2, 5)] == [2, 3]


def make_workers(session: Session, count: int) -> list[Worker]:
    made = [make_worker(f"gpu-{number}:1") for number in range(count)]
    for worker in made:
        heartbeat(session, worker, Work(), Load())
    return made


def test_of_four_workers_one_takes_urgent_jobs_alone(sessions: Sessions, tenant: TenantRow) -> None:
    rules = Rules(ageing_s=0.0, stat_share=0.25)
    with sessions.begin() as session:
        make_workers(session, 4)
        for _ in range(9):
            wait(session, [queue_job(session, tenant.id)], minutes=60)

        taken = [take(session, rules=rules) for _ in range(5)]
        urgent = queue_job(session, tenant.id, priority=Priority.STAT)
        last = take(session, rules=rules)

    assert [claim is not None for claim in taken] == [True, True, True, False, False]
    assert last is not None
    assert last.job_id == urgent.id


def test_urgent_jobs_that_run_leave_the_others_their_share(
    sessions: Sessions, tenant: TenantRow
) -> None:
    rules = Rules(ageing_s=0.0, stat_share=0.25)
    with sessions.begin() as session:
        make_workers(session, 4)
        for priority in [Priority.STAT] * 2 + [Priority.ROUTINE] * 4:
            queue_job(session, tenant.id, priority=priority)

        taken = [take(session, rules=rules) for _ in range(6)]

    assert [claim is not None for claim in taken] == [True] * 5 + [False]


def test_share_is_of_the_workers_that_live_and_of_three_there_is_none(
    sessions: Sessions, tenant: TenantRow
) -> None:
    rules = Rules(ageing_s=0.0, stat_share=0.25)
    with sessions.begin() as session:
        lost, *_ = make_workers(session, 4)
        grow_silent(session, lost, seconds=LOST_S + 1)
        for _ in range(4):
            queue_job(session, tenant.id)

        taken = [take(session, rules=rules) for _ in range(4)]

    assert None not in taken


def test_lost_workers_job_frees_its_place_once_its_lease_is_over(
    sessions: Sessions, tenant: TenantRow
) -> None:
    rules = Rules(ageing_s=0.0, stat_share=0.25)
    with sessions.begin() as session:
        make_workers(session, 4)
        for _ in range(4):
            queue_job(session, tenant.id)
        first, *_ = (take(session, rules=rules) for _ in range(3))
        before = take(session, rules=rules)
        session.execute(
            text("UPDATE jobs SET lease_until = now() - interval '1 second' WHERE id = :id"),
            {"id": first.job_id if first else None},
        )

        after = take(session, rules=rules)

    assert before is None
    assert after is not None


def test_hospital_whose_network_is_absent_does_not_take_every_turn(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
        for _ in range(3):
            queue_job(session, tenant.id)
        theirs = queue_job(session, other.id)
        wait(session, [theirs], minutes=-1)
    taken = []
    for _ in range(2):
        with sessions.begin() as session:
            held = take(session)
            assert held is not None
            taken.append(held.job_id)
            wait_for_network(session, held, "It lacks it.", limit_s=3600, wait_s=30)

    assert taken[1] == theirs.id


def test_job_that_ran_for_long_and_went_back_has_not_waited_for_long(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        wait(session, [job], minutes=50)
        before = longest_wait_s(session)
        held = take(session)
        assert held is not None
        hand_back(session, held, "The worker was stopped.")

        after = longest_wait_s(session)
        stalls = flow(session).is_stalled(60.0)

    assert before > 49 * 60
    assert after < 60
    assert not stalls


def test_jobs_of_workers_that_are_to_stop_take_nobodys_place(
    sessions: Sessions, tenant: TenantRow
) -> None:
    rules = Rules(ageing_s=0.0, stat_share=0.25)
    with sessions.begin() as session:
        workers = make_workers(session, 8)
        for _ in range(8):
            queue_job(session, tenant.id)
        for worker in workers[:4]:
            held = take(session, rules=rules)
            assert held is not None
            heartbeat(session, worker, Work(WorkerState.DRAINING, held.job_id), Load())

        taken = [take(session, rules=rules) for _ in range(4)]

    assert [claim is not None for claim in taken] == [True, True, True, False]
