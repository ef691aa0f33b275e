from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from db.deliveries import (
    DELIVERIES,
    Due,
    count_by_state,
    delivered,
    list_deliveries,
    postpone,
    retry_failed,
    send_again,
    take_due,
)
from db.destinations import add_destination, find_destination, remove_destination
from db.jobs import job_events
from db.session import Sessions
from db.tables import DeliveryRow, JobRow, TenantRow
from db.tenants import add_tenant
from hilum.destinations import DeliveryState, Dimse
from hilum.errors import ReportNotReady, UnknownDestination
from tests.db.factories import finished_job, queue_job

PACS = Dimse("PACS", "pacs.example", 104)
LEASE_S = 60.0


def add(sessions: Sessions, tenant: TenantRow, *names: str) -> None:
    with sessions.begin() as session:
        for name in names:
            add_destination(session, tenant.name, name, PACS)


def finish(sessions: Sessions, tenant: TenantRow) -> JobRow:
    with sessions.begin() as session:
        return finished_job(session, tenant.id)


def take(sessions: Sessions) -> Due | None:
    with sessions.begin() as session:
        return take_due(session, lease_s=LEASE_S)


def taken(sessions: Sessions) -> Due:
    due = take(sessions)
    assert due is not None
    return due


def deliveries(sessions: Sessions, job: JobRow) -> list[DeliveryRow]:
    with sessions.begin() as session:
        return list_deliveries(session, job.id)


def age(sessions: Sessions, *, began_s: float = 0.0, due_s: float = 0.0) -> None:
    """Let time pass."""
    with sessions.begin() as session:
        session.execute(
            text(
                "UPDATE deliveries SET began_at = began_at - make_interval(secs => :began),"
                " due_at = due_at - make_interval(secs => :due)"
            ),
            {"began": began_s, "due": due_s},
        )


def test_finished_job_goes_to_each_destination_of_its_hospital(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = add_tenant(session, "charite")
    add(sessions, tenant, "pacs", "research")
    add(sessions, other, "elsewhere")

    job = finish(sessions, tenant)

    rows = deliveries(sessions, job)
    assert [row.destination.name for row in rows] == ["pacs", "research"]
    assert {row.state for row in rows} == {DeliveryState.WAITING}


def test_job_that_waits_goes_nowhere(sessions: Sessions, tenant: TenantRow) -> None:
    add(sessions, tenant, "pacs")
    with sessions.begin() as session:
        queue_job(session, tenant.id)

    assert take(sessions) is None


def test_delivery_is_taken_once_and_noted_with_an_event(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    job = finish(sessions, tenant)

    due = taken(sessions)
    assert take(sessions) is None
    with sessions.begin() as session:
        assert delivered(session, due, 4)

    [row] = deliveries(sessions, job)
    assert (row.state, row.attempts, row.objects) == (DeliveryState.DELIVERED, 1, 4)
    assert row.delivered_at is not None
    age(sessions, due_s=1e6)
    assert take(sessions) is None
    with sessions.begin() as session:
        event = job_events(session, job.id)[-1]
    assert (event.event, event.detail) == ("delivered", {"destination": "pacs", "objects": 4})


def test_couriers_that_look_at_once_take_different_deliveries(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, *"abcdefgh")
    finish(sessions, tenant)

    with ThreadPoolExecutor(8) as pool:
        found = [due for due in pool.map(lambda _: take(sessions), range(8)) if due is not None]

    assert len({due.id for due in found}) == len(found) >= 1


def test_one_at_a_time_goes_to_a_destination(sessions: Sessions, tenant: TenantRow) -> None:
    add(sessions, tenant, "pacs")
    first, second = finish(sessions, tenant), finish(sessions, tenant)

    due = taken(sessions)
    assert take(sessions) is None
    with sessions.begin() as session:
        delivered(session, due, 1)

    assert {due.job_id, taken(sessions).job_id} == {first.id, second.id}


def test_two_that_look_at_the_same_moment_do_not_send_to_one_archive(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    finish(sessions, tenant)
    finish(sessions, tenant)

    with sessions.begin() as one, sessions.begin() as other:
        first = take_due(one, lease_s=LEASE_S)
        second = take_due(other, lease_s=LEASE_S)

    assert first is not None
    assert second is None
    assert take(sessions) is None


def test_courier_that_is_long_at_it_keeps_its_delivery(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    finish(sessions, tenant)
    due = taken(sessions)
    age(sessions, due_s=LEASE_S - 1)

    with sessions.begin() as session:
        DELIVERIES.keep(session, due, lease_s=LEASE_S)
    age(sessions, due_s=LEASE_S - 1)

    assert take(sessions) is None
    with sessions.begin() as session:
        assert delivered(session, due, 4)


def test_what_kills_every_courier_is_given_up_too(sessions: Sessions, tenant: TenantRow) -> None:
    add(sessions, tenant, "pacs")
    job = finish(sessions, tenant)
    taken(sessions)
    age(sessions, began_s=25 * 3600, due_s=LEASE_S + 1)

    assert take(sessions) is None

    [row] = deliveries(sessions, job)
    assert row.state is DeliveryState.FAILED
    assert "courier was lost" in (row.error or "")


def test_job_ends_while_its_destination_is_being_removed(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    with ThreadPoolExecutor(1) as pool, sessions.begin() as session:
        remove_destination(session, tenant.name, "pacs")
        session.flush()
        ending = pool.submit(finish, sessions, tenant)
        with pytest.raises(TimeoutError):
            # It waits for the removal, which is not committed yet.
            ending.result(0.5)
        session.commit()
        job = ending.result(60)

    assert deliveries(sessions, job) == []


def test_lost_courier_loses_its_delivery_and_can_write_no_more(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    job = finish(sessions, tenant)
    lost = taken(sessions)
    age(sessions, due_s=LEASE_S + 1)

    found = taken(sessions)

    with sessions.begin() as session:
        assert not delivered(session, lost, 4)
        assert postpone(session, lost, "late") is None
        assert delivered(session, found, 4)
    [row] = deliveries(sessions, job)
    assert (row.attempts, row.error) == (2, None)


@pytest.mark.parametrize(
    ("age_s", "shortest_s", "longest_s"), [(0, 30, 37), (600, 600, 722), (20_000, 3600, 4321)]
)
def test_wait_grows_with_the_trouble(
    age_s: float, shortest_s: float, longest_s: float, sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    job = finish(sessions, tenant)
    age(sessions, began_s=age_s)

    with sessions.begin() as session:
        state = postpone(session, taken(sessions), "The archive does not answer.")
        now = session.execute(text("SELECT now()")).scalar_one()

    [row] = deliveries(sessions, job)
    assert (state, row.state) == (DeliveryState.WAITING, DeliveryState.WAITING)
    assert row.error == "The archive does not answer."
    assert shortest_s <= (row.due_at - now).total_seconds() <= longest_s
    assert take(sessions) is None


def test_archive_away_for_a_day_is_given_up_until_a_person_asks(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    job = finish(sessions, tenant)
    age(sessions, began_s=25 * 3600)

    with sessions.begin() as session:
        state = postpone(session, taken(sessions), "The archive does not answer.")
    age(sessions, due_s=1e6)
    assert state is DeliveryState.FAILED
    assert take(sessions) is None

    with sessions.begin() as session:
        send_again(session, job)
    with sessions.begin() as session:
        assert postpone(session, taken(sessions), "Still away.") is DeliveryState.WAITING


def test_delivered_study_is_sent_again_where_asked(sessions: Sessions, tenant: TenantRow) -> None:
    add(sessions, tenant, "pacs", "research")
    job = finish(sessions, tenant)
    for _ in range(2):
        with sessions.begin() as session:
            delivered(session, taken(sessions), 4)

    with sessions.begin() as session:
        send_again(session, job, "research")

    states = {row.destination.name: row.state for row in deliveries(sessions, job)}
    assert states == {"pacs": DeliveryState.DELIVERED, "research": DeliveryState.WAITING}
    assert taken(sessions).destination == "research"


def test_courier_that_was_sending_when_it_was_asked_again_ends_nothing(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    job = finish(sessions, tenant)
    before = taken(sessions)

    with sessions.begin() as session:
        send_again(session, job)
    with sessions.begin() as session:
        assert not delivered(session, before, 4)

    assert taken(sessions).job_id == job.id


def test_destination_added_later_gets_what_was_found_before(
    sessions: Sessions, tenant: TenantRow
) -> None:
    job = finish(sessions, tenant)
    add(sessions, tenant, "pacs")

    with sessions.begin() as session:
        send_again(session, job)

    assert taken(sessions).destination == "pacs"


def test_asking_again_for_what_cannot_be_sent_is_refused(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        waiting = queue_job(session, tenant.id)
    job = finish(sessions, tenant)

    with pytest.raises(ReportNotReady, match="queued"), sessions.begin() as session:
        send_again(session, waiting)
    with pytest.raises(UnknownDestination, match="any destination"), sessions.begin() as session:
        send_again(session, job)
    add(sessions, tenant, "pacs")
    with pytest.raises(UnknownDestination, match="'other'"), sessions.begin() as session:
        send_again(session, job, "other")


def test_what_was_given_up_on_is_retried_at_once(sessions: Sessions, tenant: TenantRow) -> None:
    add(sessions, tenant, "pacs", "research")
    job = finish(sessions, tenant)
    age(sessions, began_s=25 * 3600)
    for _ in range(2):
        due = taken(sessions)
        with sessions.begin() as session:
            postpone(session, due, "The archive does not answer.")

    with sessions.begin() as session:
        pacs = find_destination(session, tenant.name, "pacs")
        before, count = count_by_state(session), retry_failed(session, pacs)
        again = retry_failed(session, pacs)

    assert before[pacs.id, DeliveryState.FAILED] == 1
    assert (count, again) == (1, 0)
    states = {row.destination.name: row.state for row in deliveries(sessions, job)}
    assert states == {"pacs": DeliveryState.WAITING, "research": DeliveryState.FAILED}
    assert taken(sessions).destination == "pacs"


def test_removed_destination_takes_its_deliveries_along(
    sessions: Sessions, tenant: TenantRow
) -> None:
    add(sessions, tenant, "pacs")
    job = finish(sessions, tenant)

    with sessions.begin() as session:
        remove_destination(session, tenant.name, "pacs")

    assert deliveries(sessions, job) == []
