"""A paused queue: nobody is served, nobody loses their place, and nobody calls it a stall."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session

from db.outlook import look_ahead
from db.overview import glance
from db.pauses import LONGEST_REASON, list_pauses, pause_queue, resume_queue
from db.queue import flow
from db.scope import Scope
from db.session import Sessions
from db.tables import TenantRow
from db.tenants import add_tenant
from db.turns import count_due, longest_wait_s
from hilum.errors import InvalidRequest
from hilum.jobs import Priority
from tests.db.factories import finished_job, have_worker, queue_job
from tests.db.test_queue import STALL_S, is_stalled, let_time_pass
from tests.db.test_turns import served, take, wait


def pause(session: Session, tenant: TenantRow | None = None) -> bool:
    whose = tenant and tenant.id
    return pause_queue(session, whose or None, by="user otto", reason="The scanner is moved.")


def test_nobody_takes_a_job_while_everything_is_paused_and_then_the_order_is_as_before(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        first, second = (queue_job(session, tenant.id) for _ in range(2))
        wait(session, [second], minutes=10)
        pause(session)
        urgent = queue_job(session, tenant.id, priority=Priority.STAT)

    paused = served(sessions, 3)
    with sessions.begin() as session:
        due = count_due(session, most=10)
        resume_queue(session, None)
        due_again = count_due(session, most=10)

    assert (paused, due, due_again) == ([], 0, 3)
    assert served(sessions, 3) == [urgent.id, second.id, first.id]


def test_one_hospital_is_paused_and_the_others_are_served(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
        own = queue_job(session, tenant.id, priority=Priority.STAT)
        theirs = queue_job(session, other.id, priority=Priority.BULK)
        wait(session, [own], minutes=60)
        pause(session, tenant)
        due = count_due(session, most=10)

    assert (due, served(sessions, 2)) == (1, [theirs.id])
    with sessions.begin() as session:
        resume_queue(session, tenant.id)
    assert served(sessions, 2) == [own.id]


def test_what_runs_goes_on_and_a_pause_of_all_does_not_end_that_of_one(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        pause(session, tenant)
        pause(session)
        finished_job(session, tenant.id)
        queue_job(session, tenant.id)

        resume_queue(session, None)

        assert take(session) is None
        assert [row.tenant_id for row in list_pauses(session)] == [tenant.id]


def test_second_pause_changes_nothing_and_the_first_says_who_and_why(
    sessions: Sessions, tenant: TenantRow
) -> None:
    def ask(name: str) -> bool:
        with sessions.begin() as session:
            return pause_queue(session, tenant.id, by=name, reason=f" By {name}. ")

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(ask, ("a", "b", "c", "d")))

    with sessions.begin() as session:
        [row] = list_pauses(session)
        ended = [resume_queue(session, tenant.id) for _ in range(2)]
    assert sorted(made) == [False, False, False, True]
    assert row.reason == f"By {row.by}."
    assert ended == [True, False]


@pytest.mark.parametrize("reason", ["", "  ", "x" * (LONGEST_REASON + 1)])
def test_reason_is_a_sentence(reason: str, sessions: Sessions) -> None:
    with pytest.raises(InvalidRequest, match="expected 1 to 200"), sessions.begin() as session:
        pause_queue(session, None, by="otto", reason=reason)


def test_pauses_of_other_hospitals_are_not_told(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "st-mary")
        for whose in (None, tenant, other):
            pause(session, whose)

        seen = [row.tenant_id for row in list_pauses(session, Scope.of(other.id))]

    assert seen == [None, other.id]


def test_paused_queue_is_no_stall_and_is_told_to_be_paused(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        let_time_pass(session, STALL_S + 5)
        before = is_stalled(session)
        pause(session, tenant)
        one, found = is_stalled(session), flow(session)
        pause(session)

        told = glance(session).flow

    assert (before, one) == (True, False)
    assert (found.due_s, found.paused, found.paused_hospitals) == (None, False, 1)
    assert (told.paused, told.is_stalled(STALL_S)) == (True, False)


def test_hospital_that_waits_beside_a_paused_one_may_still_stall(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        queue_job(session, add_tenant(session, "st-mary").id)
        queue_job(session, tenant.id)
        pause(session, tenant)
        let_time_pass(session, STALL_S + 5)

        assert is_stalled(session)


def test_paused_hospital_keeps_nobody_from_sending(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        wait(session, [queue_job(session, tenant.id)], minutes=60)
        before = longest_wait_s(session)
        pause(session, tenant)

        assert before > 3000
        assert longest_wait_s(session) == 0


def test_no_time_is_promised_to_who_is_paused_and_nobody_waits_for_them(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        have_worker(session)
        finished_job(session, tenant.id)
        other = add_tenant(session, "st-mary")
        own, theirs = queue_job(session, tenant.id), queue_job(session, other.id)
        wait(session, [own], minutes=5)
        before = look_ahead(session, theirs).place
        pause(session, tenant)

        waits, goes = look_ahead(session, own), look_ahead(session, theirs)

    assert (before, goes.place) == (0, 0)
    assert waits.eta_s is None
    assert goes.eta_s is not None
