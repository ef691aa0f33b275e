import os
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from threading import Event, Thread
from uuid import UUID, uuid4

import pytest
import redis
from celery import Celery
from sqlalchemy import select, text
from structlog.testing import capture_logs

from db.jobs import job_events
from db.regrades import ask_regrade
from db.retention import keep_for
from db.session import Sessions, make_engine, make_sessions
from db.tables import JobRow, NoticeRow, ReportRow, TenantRow, UpkeepRow, WritingRow
from db.thresholds import add_thresholds, choose_thresholds
from db.upkeep import note_upkeep, since_upkeep_s
from db.workers import KEPT_S, Load, Work, heartbeat, known_workers
from db.writings import LONGEST_UPLOAD_S, begin_writing
from hilum.grading import MOSMED
from hilum.jobs import QUEUE, Priority, State
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.db.factories import claim, finished_job, queue_job
from tests.db.test_removal import all_files, grow_old, keep
from tests.db.test_workers import grow_silent, make_worker
from tests.worker.processes import until
from worker.celery import make_app
from worker.doorbell import Doorbell
from worker.upkeep import (
    FEWEST_RINGS,
    forget,
    keep_up_until,
    purge_old,
    regrade,
    ring_again,
    sweep,
    take_back,
    tell,
)


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    app = make_app(settings)
    yield app
    app.close()


@pytest.fixture
def bell(app: Celery) -> Doorbell:
    return Doorbell(app)


def keep_up(sessions: Sessions, bell: Doorbell, settings: Settings) -> None:
    take_back(sessions, settings)
    ring_again(sessions, bell)


def waiting(settings: Settings) -> int:
    with redis.Redis.from_url(settings.redis_url) as client:
        return int(client.llen(QUEUE))


def let_leases_run_out(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(text("UPDATE jobs SET lease_until = now() - interval '1 second'"))


def reload(sessions: Sessions, job: JobRow) -> JobRow:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id)


def test_job_nobody_rang_for_is_rung_once(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id, priority=Priority.BULK)

    keep_up(sessions, bell, settings)
    keep_up(sessions, bell, settings)

    assert waiting(settings) == 1


def test_messages_that_redis_lost_are_sent_again(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        for _ in range(3):
            queue_job(session, tenant.id)
    bell.ring(3)
    with redis.Redis.from_url(settings.redis_url) as client:
        client.flushall()

    keep_up(sessions, bell, settings)

    assert waiting(settings) == 3


def test_job_of_a_lost_worker_is_taken_back_and_rung_at_once(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        claim(session, job)
    let_leases_run_out(sessions)

    keep_up(sessions, bell, settings)

    assert reload(sessions, job).state is State.QUEUED
    assert waiting(settings) == 1


def test_older_reports_are_graded_anew_once_somebody_asks(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        finished_job(session, tenant.id, share=0.1)
        add_thresholds(
            session, replace(MOSMED, version="strict-1", bins=(0.08, 0.5, 0.75)), by="me"
        )
        choose_thresholds(session, "strict-1", by="me")
    verdicts = []
    for ask in (None, ask_regrade):
        with sessions.begin() as session:
            _ = ask and ask(session, by="me")
        regrade(sessions)
        with sessions.begin() as session:
            verdicts.append(session.scalars(select(ReportRow.verdict)).one())

    assert verdicts == ["Mild", "Alarming"]


def test_job_that_waits_for_its_next_attempt_is_not_rung_for(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
        session.execute(text("UPDATE jobs SET retry_at = now() + interval '1 minute'"))

    keep_up(sessions, bell, settings)

    assert waiting(settings) == 0


def test_two_that_keep_up_at_once_take_each_job_back_once(
    sessions: Sessions, tenant: TenantRow, bell: Doorbell, settings: Settings
) -> None:
    with sessions.begin() as session:
        jobs = [queue_job(session, tenant.id) for _ in range(30)]
        for job in jobs:
            claim(session, job)
    let_leases_run_out(sessions)

    beats = [Thread(target=keep_up, args=(sessions, bell, settings)) for _ in range(2)]
    for beat in beats:
        beat.start()
    for beat in beats:
        beat.join()

    with sessions.begin() as session:
        events = [[event.event for event in job_events(session, job.id)] for job in jobs]
    assert events == [["submitted", "running", "queued"]] * 30
    assert waiting(settings) >= FEWEST_RINGS


def test_upkeep_survives_a_database_that_is_away(
    bell: Doorbell, settings: Settings, store: StudyStore, capfd: pytest.CaptureFixture[str]
) -> None:
    away = make_sessions(make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none"))
    stopping = Event()
    beat = Thread(target=keep_up_until, args=(stopping, away, bell, store, settings))

    beat.start()
    until(lambda: "upkeep.troubled" in "".join(capfd.readouterr()), patience_s=20)
    alive = beat.is_alive()
    stopping.set()
    beat.join(10)

    assert alive
    assert not beat.is_alive()


def test_client_of_a_job_that_was_given_up_is_told(
    sessions: Sessions, tenant: TenantRow, settings: Settings
) -> None:
    once = settings.model_copy(update={"max_attempts": 1})
    with sessions.begin() as session:
        for url in ("https://example.org/done", None):
            claim(session, queue_job(session, tenant.id, callback_url=url))
    let_leases_run_out(sessions)

    take_back(sessions, once)

    with sessions.begin() as session:
        notice = session.scalars(select(NoticeRow)).one()
    assert (notice.event, notice.host) == ("job.quarantined", "example.org")


def test_queue_that_redis_has_not_heard_of_is_empty(bell: Doorbell) -> None:
    assert bell.unanswered() == 0


# ── Sweeping ──────────────────────────────────────────────────────────────────────────────────


def write(sessions: Sessions, store: StudyStore, prefix: str, claim: UUID | None = None) -> str:
    """Begin to write a file, and come no further."""
    with sessions.begin() as session:
        begin_writing(session, prefix, claim=claim)
    return store.put(BytesIO(b"half"), f"{prefix}/a.dcm").key


def is_kept(store: StudyStore, key: str) -> bool:
    return bool(store.filesystem.exists(store.path(key)))


def wait(sessions: Sessions, seconds: float) -> None:
    with sessions.begin() as session:
        session.execute(
            text(
                "UPDATE writings SET begun_at = begun_at - make_interval(secs => :s),"
                " abandoned_at = abandoned_at - make_interval(secs => :s)"
            ),
            {"s": seconds},
        )


def test_files_of_an_attempt_that_was_lost_are_taken_away_a_lease_later(
    sessions: Sessions, tenant: TenantRow, store: StudyStore, settings: Settings
) -> None:
    with sessions.begin() as session:
        held = claim(session, queue_job(session, tenant.id))
    key = store.put(BytesIO(b"half"), f"{held.prefix}/a.dcm").key
    let_leases_run_out(sessions)
    take_back(sessions, settings)

    sweep(sessions, store, settings)
    before = is_kept(store, key)
    wait(sessions, settings.lease_s + 1)
    sweep(sessions, store, settings)

    assert (before, is_kept(store, key)) == (True, False)
    with sessions.begin() as session:
        assert session.scalars(select(WritingRow)).all() == []


def test_files_of_an_attempt_that_runs_stay_however_long_it_takes(
    sessions: Sessions, tenant: TenantRow, store: StudyStore, settings: Settings
) -> None:
    with sessions.begin() as session:
        held = claim(session, queue_job(session, tenant.id))
    key = store.put(BytesIO(b"half"), f"{held.prefix}/a.dcm").key

    for _ in range(3):
        wait(sessions, 24 * 3600)
        sweep(sessions, store, settings)

    assert is_kept(store, key)


def test_files_of_an_upload_that_died_are_taken_away_once_no_upload_can_last_so_long(
    sessions: Sessions, store: StudyStore, settings: Settings
) -> None:
    key = write(sessions, store, "tenant/studies/1.2/dead")
    sweep(sessions, store, settings)
    wait(sessions, LONGEST_UPLOAD_S / 2)
    sweep(sessions, store, settings)
    before = is_kept(store, key)

    wait(sessions, LONGEST_UPLOAD_S)
    sweep(sessions, store, settings)
    wait(sessions, settings.lease_s + 1)
    sweep(sessions, store, settings)

    assert (before, is_kept(store, key)) == (True, False)


def test_sweep_that_died_half_way_is_done_again(
    sessions: Sessions, store: StudyStore, settings: Settings
) -> None:
    key = write(sessions, store, "tenant/jobs/1/dead", uuid4())
    sweep(sessions, store, settings)
    wait(sessions, settings.lease_s + 1)
    store.delete("tenant/jobs/1/dead")

    sweep(sessions, store, settings)

    assert not is_kept(store, key)
    with sessions.begin() as session:
        assert session.scalars(select(WritingRow)).all() == []


def test_whoever_keeps_up_is_seen_and_forgotten_after_days(sessions: Sessions) -> None:
    with sessions.begin() as session:
        note_upkeep(session, "gpu-9:1")
        session.execute(text("UPDATE upkeep SET seen_at = now() - interval '2 days'"))
        before = since_upkeep_s(session)

    tell(sessions)

    with sessions.begin() as session:
        names = session.scalars(select(UpkeepRow.name)).all()
        after = since_upkeep_s(session)
    assert before is not None
    assert before > 24 * 3600
    assert after is not None
    assert after < 10
    assert names == [f"{socket.gethostname()}:{os.getpid()}"]


def test_worker_that_nobody_has_heard_of_for_a_day_is_forgotten(sessions: Sessions) -> None:
    worker = make_worker()
    with sessions.begin() as session:
        heartbeat(session, worker, Work(), Load())
        grow_silent(session, worker, seconds=KEPT_S + 1)

    forget(sessions)

    with sessions.begin() as session:
        assert known_workers(session) == []


def test_files_that_cannot_be_taken_away_keep_no_others(
    sessions: Sessions, store: StudyStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = (write(sessions, store, f"tenant/jobs/{n}/dead", uuid4()) for n in (1, 2))
    sweep(sessions, store, settings)
    wait(sessions, settings.lease_s + 1)
    delete = StudyStore.delete

    def refuse_one(self: StudyStore, key: str) -> None:
        if "/1/" in key:
            raise PermissionError(13, "It is another's.")
        delete(self, key)

    monkeypatch.setattr(StudyStore, "delete", refuse_one)
    sweep(sessions, store, settings)

    assert (is_kept(store, stuck), is_kept(store, free)) == (True, False)
    with sessions.begin() as session:
        [left] = session.scalars(select(WritingRow)).all()
    assert left.prefix == "tenant/jobs/1/dead"


def test_upkeep_that_cannot_ring_does_not_say_that_it_keeps_up(
    sessions: Sessions, tenant: TenantRow, settings: Settings, store: StudyStore
) -> None:
    with sessions.begin() as session:
        queue_job(session, tenant.id)
    deaf = settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    app, stopping = make_app(deaf), Event()
    keeping = Thread(
        target=keep_up_until, args=(stopping, sessions, Doorbell(app), store, settings)
    )

    keeping.start()
    time.sleep(1.0)
    stopping.set()
    keeping.join()

    app.close()
    with sessions.begin() as session:
        assert since_upkeep_s(session) is None


def test_study_past_its_time_goes_and_its_files_with_the_next_sweep(
    sessions: Sessions, tenant: TenantRow, store: StudyStore, settings: Settings
) -> None:
    keep(sessions, store, tenant.id)
    with sessions.begin() as session:
        keep_for(session, session.get_one(TenantRow, tenant.id), 30, by="user ada")
    grow_old(sessions, 31)

    with capture_logs() as lines:
        purge_old(sessions)
        purge_old(sessions)

    assert [(line["event"], line["studies"]) for line in lines] == [("studies.purged", 1)]
    sweep(sessions, store, settings.model_copy(update={"lease_s": -1}))
    assert all_files(store) == []
