import time
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine, event

from db.changes import cancel_job
from db.claims import take_back_overdue
from db.session import Sessions, make_engine, make_sessions
from db.tables import JobRow, TenantRow
from hilum.jobs import JobStopped, Stage
from tests.db.factories import claim, queue_job
from worker.hold import REPORT_EVERY_S, Reporter, holding


def reload(sessions: Sessions, job: JobRow) -> JobRow:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id)


def test_lease_is_kept_alive_through_a_stage_without_steps(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job, lease_s=1)

    with holding(held, sessions, lease_s=1):
        time.sleep(1.6)
        with sessions.begin() as session:
            lost = take_back_overdue(session, max_attempts=3)

    assert lost == []


def test_lease_runs_out_once_nobody_holds_it(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job, lease_s=1)
    with holding(held, sessions, lease_s=1):
        pass

    time.sleep(1.2)

    with sessions.begin() as session:
        assert [row.id for row in take_back_overdue(session, max_attempts=3)] == [job.id]


def test_steps_are_written_a_few_times_a_second_but_the_first_and_last_always(
    engine: Engine, sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)
    writes: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: writes.append(args[2]))

    with holding(held, sessions, lease_s=60) as progress:
        begun = time.monotonic()
        for step in range(1, 201):
            progress(Stage.SLICES, step, 200)
        progress(Stage.MEASURING, 0, 10)
        took_s = time.monotonic() - begun

    counted = [sql for sql in writes if sql.startswith("UPDATE jobs")]
    assert 3 <= len(counted) <= 3 + took_s / REPORT_EVERY_S
    assert reload(sessions, job).stage == "measuring"


def test_job_asked_to_stop_hears_so_at_its_next_step(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)

    with holding(held, sessions, lease_s=60) as progress:
        progress(Stage.SLICES, 0, 10)
        with sessions.begin() as session:
            cancel_job(session, tenant.id, job.id)
        time.sleep(REPORT_EVERY_S)

        with pytest.raises(JobStopped, match="asked to stop"):
            progress(Stage.SLICES, 1, 10)


def test_database_that_is_away_for_a_moment_does_not_stop_the_computing(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/nothing")

    with holding(held, make_sessions(nowhere), lease_s=1) as progress:
        progress(Stage.SLICES, 0, 10)
        time.sleep(0.4)

    nowhere.dispose()
    assert reload(sessions, job).stage is None


def test_database_that_is_away_for_a_lease_stops_it_before_files_are_nobodys(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        held = claim(session, queue_job(session, tenant.id))
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    report = Reporter(held, make_sessions(nowhere), lease_s=1)

    report(Stage.SLICES, 0, 10)
    time.sleep(1.2)
    with pytest.raises(JobStopped, match="for a lease"):
        report(Stage.SLICES, 1, 10)

    nowhere.dispose()


def test_one_report_unheard_after_a_long_step_stops_nothing(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        held = claim(session, job)
    nowhere = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    away = make_sessions(nowhere)
    using = [sessions, away, sessions]

    def begin() -> object:
        return using.pop(0).begin()

    report = Reporter(held, SimpleNamespace(begin=begin), lease_s=1)
    for step in (1, 2, 3):
        report(Stage.SLICES, step, 10)
        time.sleep(1.2)

    nowhere.dispose()
    assert reload(sessions, job).stage_done == 3
