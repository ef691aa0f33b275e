"""The thread that asks for all: how often, for whom, and what it does without a database."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, event

from api.streams import hub as hub_module
from api.streams.hub import Hub
from api.streams.listener import MOST_NEWS, Begun, JobGone, JobNews, Listener, News, Trouble
from db.feed import Happening
from db.session import Sessions, make_engine, make_sessions
from db.tables import JobRow, TenantRow, now
from hilum.errors import TooManyStreams
from tests.db.factories import claim, queue_job


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LOOK_EVERY_S", 0.02)


@pytest.fixture
def hub(sessions: Sessions) -> Iterator[Hub]:
    hub = Hub(sessions, most=4)
    yield hub
    hub.stop()


@pytest.fixture
def queries(engine: Engine) -> Iterator[list[str]]:
    """What the database is asked."""
    asked: list[str] = []

    def note(*args: object) -> None:
        asked.append(str(args[2]))

    event.listen(engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def job(sessions: Sessions, tenant: TenantRow) -> JobRow:
    with sessions.begin() as session:
        return queue_job(session, tenant.id)


def hear(listener: Listener, what: Callable[[News], bool]) -> News:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for news in listener.take(0.1):
            if what(news):
                return news
    raise AssertionError


def test_nothing_is_asked_while_nobody_listens(hub: Hub, job: JobRow, queries: list[str]) -> None:
    listener = hub.listen(job.tenant_id, job.id)
    hear(listener, lambda news: isinstance(news, JobNews))
    hub.leave(listener)
    time.sleep(0.2)
    queries.clear()

    time.sleep(0.2)

    assert queries == []


def test_number_of_questions_does_not_grow_with_the_listeners(
    hub: Hub, sessions: Sessions, tenant: TenantRow, queries: list[str]
) -> None:
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id) for _ in range(3)]
    queries.clear()

    listeners = [hub.listen(tenant.id, job.id) for job in jobs]
    for listener in listeners:
        hear(listener, lambda news: isinstance(news, JobNews))
    queries.clear()
    time.sleep(0.5)

    # One look after another, within the two seconds for which a survey is believed.
    assert queries
    assert all("FROM jobs" in query for query in queries)
    assert {query.count("jobs.id IN") for query in queries} == {1}


def test_job_that_starts_to_run_is_heard_of_with_its_outlook(
    hub: Hub, sessions: Sessions, job: JobRow
) -> None:
    listener = hub.listen(job.tenant_id, job.id)
    waiting = hear(listener, lambda news: isinstance(news, JobNews))
    with sessions.begin() as session:
        claim(session, job)

    running = hear(listener, lambda news: isinstance(news, JobNews) and news.job.state == "running")

    assert isinstance(waiting, JobNews)
    assert isinstance(running, JobNews)
    assert (waiting.outlook.place, running.outlook.place) == (0, None)


def test_job_that_is_not_there_is_said_to_be_gone(hub: Hub, tenant: TenantRow) -> None:
    listener = hub.listen(tenant.id, uuid4())

    assert hear(listener, lambda news: isinstance(news, JobGone))


def test_database_that_is_away_is_told_once_and_ends_no_stream(
    sessions: Sessions, job: JobRow
) -> None:
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    hub = Hub(make_sessions(nowhere), most=3)
    listener = hub.listen(job.tenant_id)

    trouble = hear(listener, lambda news: isinstance(news, Trouble))
    more = listener.take(0.2)
    hub._sessions = sessions
    begun = hear(listener, lambda news: isinstance(news, Begun))

    assert trouble == Trouble("The database does not answer.")
    assert more == []
    assert begun
    assert not listener.is_closed
    hub.stop()
    nowhere.dispose()


def test_hub_that_is_stopped_ends_every_stream_and_takes_no_more(
    sessions: Sessions, job: JobRow
) -> None:
    hub = Hub(sessions, most=3)
    listener = hub.listen(job.tenant_id, job.id)

    hub.stop()

    assert listener.is_closed
    with pytest.raises(TooManyStreams):
        hub.listen(job.tenant_id, job.id)


def test_process_that_is_to_end_lets_its_streams_end(hub: Hub, job: JobRow) -> None:
    listener = hub.listen(job.tenant_id, job.id)

    hub.end_when(lambda: True)

    deadline = time.monotonic() + 10
    while not listener.is_closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_news_of_a_job_takes_the_place_of_what_was_known_before(job: JobRow) -> None:
    listener = Listener(job.tenant_id)

    for _ in range(MOST_NEWS + 1):
        listener.hear(Trouble("again"))

    assert listener.take(0) == [Trouble("again")]
    assert not listener.is_slow


def test_client_behind_which_news_pile_up_is_given_up(tenant: TenantRow) -> None:
    listener = Listener(tenant.id)

    for number in range(MOST_NEWS + 1):
        listener.hear(Happening(number, tenant.id, uuid4(), now(), "submitted", {}))

    assert listener.is_slow
    assert listener.is_closed


def test_one_hospital_cannot_take_every_stream(hub: Hub) -> None:
    own, other = uuid4(), uuid4()
    held = [hub.listen(own) for _ in range(3)]

    with pytest.raises(TooManyStreams, match="3 of them yours"):
        hub.listen(own)
    held.append(hub.listen(other))

    for one in held:
        hub.leave(one)
