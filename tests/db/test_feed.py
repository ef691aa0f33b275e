from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.orm import Session

from db.feed import Feed, Happening, happenings_between, watched_jobs
from db.session import Sessions
from db.steps import record
from db.tables import JobRow, TenantRow
from db.tenants import add_tenant
from tests.db.factories import claim, finished_job, queue_job


@pytest.fixture
def job(sessions: Sessions, tenant: TenantRow) -> JobRow:
    with sessions.begin() as session:
        return queue_job(session, tenant.id)


@pytest.fixture
def feed(sessions: Sessions, job: JobRow) -> Feed:
    assert job
    with sessions.begin() as session:
        return Feed.begin(session)


@contextmanager
def under_way(sessions: Sessions, job: JobRow, event: str) -> Iterator[Session]:
    """A transaction that has given an event its id and has not ended."""
    with sessions() as session:
        record(session, job.id, event)
        session.flush()
        yield session


def write(sessions: Sessions, job: JobRow, event: str) -> None:
    with under_way(sessions, job, event) as session:
        session.commit()


def read(feed: Feed, sessions: Sessions) -> list[str]:
    with sessions.begin() as session:
        return [one.event for one in feed.read(session)]


def test_feed_begins_with_what_happens_next(
    feed: Feed, sessions: Sessions, job: JobRow, tenant: TenantRow
) -> None:
    assert read(feed, sessions) == []

    write(sessions, job, "first")
    write(sessions, job, "second")
    with sessions.begin() as session:
        first, second = feed.read(session)

    assert isinstance(first, Happening)
    assert (first.event, first.job_id, first.tenant_id) == ("first", job.id, tenant.id)
    assert first.id < second.id == feed.position
    assert read(feed, sessions) == []


def test_transactions_that_commit_out_of_order_are_read_in_order(
    feed: Feed, sessions: Sessions, job: JobRow
) -> None:
    with under_way(sessions, job, "lower") as late:
        write(sessions, job, "higher")
        before = [read(feed, sessions) for _ in range(3)]
        late.commit()

    assert before == [[], [], []]
    assert read(feed, sessions) == ["lower", "higher"]


def test_several_that_commit_out_of_order_are_each_read_once(
    feed: Feed, sessions: Sessions, job: JobRow
) -> None:
    with (
        under_way(sessions, job, "1") as first,
        under_way(sessions, job, "2") as second,
        under_way(sessions, job, "3") as third,
    ):
        write(sessions, job, "4")
        looks = [read(feed, sessions)]
        for each in (second, first, third):
            each.commit()
            looks.append(read(feed, sessions))

    assert looks == [[], [], ["1", "2"], ["3", "4"]]


def test_event_that_was_rolled_back_is_not_waited_for(
    feed: Feed, sessions: Sessions, job: JobRow
) -> None:
    with under_way(sessions, job, "never") as lost:
        write(sessions, job, "after")
        assert read(feed, sessions) == []
        lost.rollback()

    looks = [read(feed, sessions) for _ in range(2)]
    assert looks in ([["after"], []], [[], ["after"]])


def test_later_writers_do_not_prolong_the_wait_for_a_gap(
    feed: Feed, sessions: Sessions, job: JobRow
) -> None:
    with under_way(sessions, job, "never") as lost:
        write(sessions, job, "after")
        for _ in range(2):
            read(feed, sessions)
        with under_way(sessions, job, "another"):
            lost.rollback()

            assert read(feed, sessions) == ["after"]


def test_feed_that_begins_while_somebody_writes_misses_nothing(
    sessions: Sessions, job: JobRow
) -> None:
    with under_way(sessions, job, "lower") as late:
        write(sessions, job, "higher")
        with sessions.begin() as session:
            feed = Feed.begin(session)
        late.commit()

    seen = [event for _ in range(2) for event in read(feed, sessions)]
    assert seen == ["lower", "higher"]


def test_what_was_missed_is_read_again_within_a_hospital(
    sessions: Sessions, job: JobRow, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        other = queue_job(session, add_tenant(session, "elsewhere").id)
    for event in ("one", "two", "three"):
        write(sessions, job, event)
        write(sessions, other, event)

    with sessions.begin() as session:
        everything = happenings_between(session, tenant.id, 0, 2**62)
        rest = happenings_between(session, tenant.id, everything[1].id, everything[2].id)

    assert [one.event for one in everything] == ["submitted", "one", "two", "three"]
    assert [one.event for one in rest] == ["two"]


def test_jobs_are_watched_by_id_or_while_they_run(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        waiting, running = (queue_job(session, tenant.id) for _ in range(2))
        claim(session, running)
        ended = finished_job(session, tenant.id)
        claim(session, queue_job(session, add_tenant(session, "elsewhere").id))

    with sessions.begin() as session:
        found = {job.id for job in watched_jobs(session, [ended.id], [tenant.id])}

    assert found == {ended.id, running.id}
    assert waiting.id not in found
