"""The audit log on the real database: appended to, listed, refused to be changed, found changed."""

import base64
import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from db.audit import (
    AuditFilter,
    append,
    iterate_entries,
    list_entries,
    read_head,
    record_of,
    verify_log,
)
from db.pages import Page
from db.scope import EVERYTHING, Scope
from db.session import Sessions, make_engine, make_sessions
from db.tables import AuditRow, TenantRow
from hilum.audit import GENESIS, Action, Entry, Head, canonical, read_lines, verify
from hilum.errors import InvalidRequest
from tests.db.test_plans import recorded

NEWEST = Page(sort="-at")


def view(number: int, *, by: str = "m.curie", tenant_id: UUID | None = None) -> Entry:
    return Entry(by, Action.CASE_VIEWED, tenant_id, f"job-{number}", {"page": number})


def fill(sessions: Sessions, count: int) -> None:
    with sessions.begin() as session:
        append(session, *(view(number) for number in range(1, count + 1)))


def tamper(sessions: Sessions, *statements: str) -> None:
    """Do what nobody can without the right to the trigger."""
    with sessions.begin() as session:
        session.execute(text("ALTER TABLE audit DISABLE TRIGGER audit_is_appended_to"))
        for statement in statements:
            session.execute(text(statement))
        session.execute(text("ALTER TABLE audit ENABLE TRIGGER audit_is_appended_to"))


def append_many(url: str, by: str, count: int) -> None:
    engine = make_engine(url)
    sessions = make_sessions(engine)
    for number in range(count):
        with sessions.begin() as session:
            append(session, view(number, by=by))
    engine.dispose()


def test_entries_are_chained_in_the_order_they_were_appended(sessions: Sessions) -> None:
    fill(sessions, 3)
    fill(sessions, 1)

    with sessions.begin() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
        found = verify_log(session)
    assert [row.id for row in rows] == [1, 2, 3, 4]
    assert [row.previous_sha256 for row in rows] == [GENESIS, *(row.sha256 for row in rows[:3])]
    assert (found.is_whole, found.head) == (True, Head(4, rows[3].sha256))


def test_entry_is_kept_with_what_it_tells_of_or_not_at_all(sessions: Sessions) -> None:
    with sessions() as session:
        append(session, view(1))
        session.rollback()

    fill(sessions, 1)

    with sessions.begin() as session:
        assert read_head(session).count == 1
        assert verify_log(session).is_whole


@pytest.mark.parametrize("statement", ["UPDATE audit SET by = 'nobody'", "DELETE FROM audit"])
def test_database_refuses_to_change_or_remove_an_entry(sessions: Sessions, statement: str) -> None:
    fill(sessions, 2)

    with pytest.raises(DBAPIError, match="only appended to"), sessions.begin() as session:
        session.execute(text(statement))

    with sessions.begin() as session:
        assert verify_log(session).count == 2


@pytest.mark.parametrize(
    ("statements", "place"),
    [
        (["UPDATE audit SET by = 'nobody' WHERE id = 2"], 2),
        (["UPDATE audit SET detail = '{\"page\": 9}' WHERE id = 3"], 3),
        (["UPDATE audit SET tenant_id = gen_random_uuid() WHERE id = 1"], 1),
        (["UPDATE audit SET at = at + interval '1 microsecond' WHERE id = 4"], 4),
        (["DELETE FROM audit WHERE id = 2"], 3),
        (["DELETE FROM audit WHERE id = 1"], 2),
        (["DELETE FROM audit WHERE id = 2", "UPDATE audit SET id = id - 1 WHERE id > 2"], 2),
        (
            [
                "UPDATE audit SET id = 99 WHERE id = 2",
                "UPDATE audit SET id = 2 WHERE id = 3",
                "UPDATE audit SET id = 3 WHERE id = 99",
            ],
            2,
        ),
    ],
    ids=["by", "detail", "tenant", "at", "removed", "first", "renumbered", "reordered"],
)
def test_change_behind_the_trigger_is_found(
    sessions: Sessions, statements: list[str], place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So few at once that the walk goes over several reads.
    monkeypatch.setattr("db.audit.AT_ONCE", 2)
    fill(sessions, 5)

    tamper(sessions, *statements)

    with sessions.begin() as session:
        found = verify_log(session)
    assert found.broken is not None
    assert found.broken.id == place
    assert found.count == place - 1 or "DELETE" in statements[0]


def test_cut_off_end_is_found_by_the_head_that_was_kept(sessions: Sessions) -> None:
    fill(sessions, 5)
    with sessions.begin() as session:
        kept = read_head(session)

    tamper(sessions, "DELETE FROM audit WHERE id > 3")

    with sessions.begin() as session:
        assert verify_log(session).is_whole
        assert not verify_log(session, kept).is_whole


def test_threads_that_append_at_once_make_one_chain(sessions: Sessions) -> None:
    threads, each = 8, 12
    start = Barrier(threads)

    def work(number: int) -> None:
        start.wait()
        for _ in range(each):
            with sessions.begin() as session:
                append(session, view(number), view(number))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))

    with sessions.begin() as session:
        found = verify_log(session)
        times = session.scalars(select(AuditRow.at).order_by(AuditRow.id)).all()
    assert (found.is_whole, found.count) == (True, threads * each * 2)
    assert times == sorted(times)


def test_processes_that_append_at_once_make_one_chain(
    sessions: Sessions, postgres_url: str
) -> None:
    context = multiprocessing.get_context("spawn")
    names = ("first", "second")
    processes = [context.Process(target=append_many, args=(postgres_url, by, 40)) for by in names]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    with sessions.begin() as session:
        found = verify_log(session)
        authors = set(session.scalars(select(AuditRow.by)))
    assert (found.is_whole, found.count, authors) == (True, 80, set(names))


def test_appending_many_costs_no_more_questions_than_one(
    sessions: Sessions, engine: Engine
) -> None:
    with recorded(engine) as asked:
        fill(sessions, 200)

    assert len(asked) == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    st.dictionaries(
        st.text(max_size=5), st.text(max_size=5) | st.integers() | st.floats(), max_size=3
    ),
    st.text(max_size=20),
)
def test_whatever_somebody_calls_himself_comes_back_as_it_was_hashed(
    sessions: Sessions, detail: dict[str, str | int | float], name: str
) -> None:
    with sessions.begin() as session:
        append(session, Entry(name, Action.SIGN_IN_FAILED, None, name, detail, "2001:db8::1"))

    with sessions.begin() as session:
        assert verify_log(session).is_whole


# ── Listing ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def log(sessions: Sessions, tenant: TenantRow) -> UUID:
    """Entries of two hospitals and of none; returns the id of the other hospital."""
    other = uuid4()
    with sessions.begin() as session:
        append(
            session,
            view(1, tenant_id=tenant.id),
            view(2, by="m.planck", tenant_id=other),
            Entry("m.curie", Action.JOB_CANCELLED, tenant.id, "job-1"),
            Entry("upkeep", Action.AUDIT_VERIFIED),
        )
    return other


def numbers(sessions: Sessions, scope: Scope, **chosen: object) -> list[int]:
    with sessions.begin() as session:
        rows = list_entries(session, scope, AuditFilter(**chosen), NEWEST).rows
    return [row.id for row in rows]


def test_list_is_narrowed_by_whom_what_to_what_and_where(sessions: Sessions, log: UUID) -> None:
    assert numbers(sessions, EVERYTHING) == [4, 3, 2, 1]
    assert numbers(sessions, EVERYTHING, by="m.c") == [3, 1]
    assert numbers(sessions, EVERYTHING, by="m_c") == []
    assert numbers(sessions, EVERYTHING, action="case") == [2, 1]
    assert numbers(sessions, EVERYTHING, action="case.viewed") == [2, 1]
    assert numbers(sessions, EVERYTHING, action="ca") == []
    assert numbers(sessions, EVERYTHING, subject="job-1") == [3, 1]
    assert numbers(sessions, EVERYTHING, tenant_id=log) == [2]


@pytest.mark.usefixtures("log")
def test_list_is_narrowed_by_time(sessions: Sessions) -> None:
    now = datetime.now(UTC)

    assert numbers(sessions, EVERYTHING, since=now + timedelta(hours=1)) == []
    assert len(numbers(sessions, EVERYTHING, until=now + timedelta(hours=1))) == 4


def test_hospital_sees_its_own_entries_alone(
    sessions: Sessions, log: UUID, tenant: TenantRow
) -> None:
    assert numbers(sessions, Scope.of(tenant.id)) == [3, 1]
    assert numbers(sessions, Scope.of(log)) == [2]
    assert numbers(sessions, Scope.of(tenant.id), tenant_id=log) == []
    assert numbers(sessions, Scope.of()) == []


def test_pages_hold_every_entry_once_while_new_ones_arrive(sessions: Sessions) -> None:
    fill(sessions, 7)
    seen: list[int] = []
    page = Page(limit=3, sort="-at")

    while True:
        with sessions.begin() as session:
            listing = list_entries(session, EVERYTHING, AuditFilter(), page)
        seen += [row.id for row in listing.rows]
        fill(sessions, 1)
        if listing.next_cursor is None:
            break
        page = Page(listing.next_cursor, 3, "-at")

    assert seen == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("place", [2**63, -(2**70), "x", None, [], 1e300])
def test_made_up_cursor_is_refused(sessions: Sessions, place: object) -> None:
    made_up = json.dumps(["-at", "2026-01-01T00:00:00+00:00", place]).encode()
    cursor = base64.urlsafe_b64encode(made_up).decode()

    with pytest.raises(InvalidRequest, match="cursor"), sessions.begin() as session:
        list_entries(session, EVERYTHING, AuditFilter(), Page(cursor, 5, "-at"))


def test_export_is_verified_without_the_database(sessions: Sessions) -> None:
    fill(sessions, 5)

    records = list(iterate_entries(sessions, EVERYTHING, AuditFilter()))
    lines = [canonical(record.to_json()) for record in records]

    assert verify(read_lines(lines)).is_whole
    edited = [line.replace("job-3", "job-4") for line in lines]
    found = verify(read_lines(edited))
    assert found.broken is not None
    assert found.broken.id == 3


@pytest.mark.usefixtures("log")
def test_export_of_one_hospital_is_verified_as_a_part(
    sessions: Sessions, tenant: TenantRow
) -> None:
    part = list(iterate_entries(sessions, Scope.of(tenant.id), AuditFilter()))

    assert [record.id for record in part] == [1, 3]
    assert verify(part, is_part=True).is_whole


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        ({}, "ix_audit_at"),
        ({"by": "name-7777"}, "ix_audit_by"),
        ({"action": "key"}, "ix_audit_action"),
        ({"subject": "job-77"}, "ix_audit_subject"),
        ({"tenant_id": UUID(int=3)}, "ix_audit_tenant"),
        ({"since": datetime(2026, 1, 1, tzinfo=UTC)}, "ix_audit_at"),
    ],
)
def test_every_list_is_read_by_an_index(
    sessions: Sessions, engine: Engine, chosen: dict[str, object], index: str
) -> None:
    with sessions.begin() as session:
        session.execute(
            text(
                "INSERT INTO audit (id, at, by, action, tenant_id, subject, detail,"
                " previous_sha256, sha256) SELECT n, now(), 'name-' || n,"
                " CASE WHEN n % 2000 = 0 THEN 'key.made' ELSE 'case.viewed' END,"
                " lpad(to_hex(n), 32, '0')::uuid, 'job-' || n, '{}', '', ''"
                " FROM generate_series(1, 10000) n"
            )
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE audit"))

    with recorded(engine) as asked, sessions.begin() as session:
        list_entries(session, EVERYTHING, AuditFilter(**chosen), NEWEST)

    sql, values = asked[-1]
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN {sql}", values).scalars()
        assert index in "\n".join(plan)


def test_record_of_a_row_says_what_the_row_says(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        append(session, view(1, tenant_id=tenant.id))

    with sessions.begin() as session:
        record = record_of(session.scalars(select(AuditRow)).one())
    assert record.entry == view(1, tenant_id=tenant.id)
