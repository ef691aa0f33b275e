"""What went wrong with a job, attempt by attempt."""

from sqlalchemy.orm import Session

from db.attempts import Attempt, attempts, keep_crash
from db.changes import retry_job
from db.claims import fail_job, give_back, report_progress, take_back_overdue
from db.session import Sessions
from db.tables import JobRow, TenantRow
from db.workers import Load, Work, Worker, heartbeat
from hilum.jobs import Stage, State
from tests.db.factories import claim, finished_job, queue_job
from tests.db.test_workers import make_worker

CRASH = {"error": "ValueError", "frames": ["hilum/dicom/read.py:41 read_grid"], "causes": []}


def tried(session: Session, job: JobRow) -> list[Attempt]:
    session.flush()
    return attempts(session, [job.id])[job.id]


def test_every_failed_attempt_has_who_tried_it_and_where_it_broke_off(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        give_back(session, claim(session, job, worker="a:1"), "Full.", max_attempts=3, crash=CRASH)
        fail_job(session, claim(session, job, worker="b:2"), "not_axial", "It is.", crash=CRASH)

        first, second = tried(session, job)

    assert (first.worker, first.outcome, first.reason) == ("a:1", State.QUEUED, "Full.")
    assert (second.worker, second.outcome, second.reason) == ("b:2", State.FAILED, "not_axial")
    assert first.crash == second.crash == CRASH
    assert first.ended_at is not None


def test_job_that_is_given_up_keeps_where_its_last_attempt_broke_off(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        give_back(session, claim(session, job), "Full.", max_attempts=1, crash=CRASH)

        [only] = tried(session, job)

    assert (only.outcome, only.reason, only.crash) == (State.FAILED, "attempts_exhausted", CRASH)


def lose(session: Session, job: JobRow, worker: Worker) -> None:
    """Have a worker report a step and fall silent for longer than its lease."""
    held = claim(session, job, worker=f"ward-3:{worker.pid}")
    heartbeat(session, worker, Work(), Load(memory_bytes=7 * 2**30))
    report_progress(session, held, Stage.SLICES, 40, 300, lease_s=-1)
    take_back_overdue(session, max_attempts=1)


def test_lost_worker_is_told_of_by_its_last_signs(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        lose(session, job, make_worker("ward-3:17"))

        [only] = tried(session, job)

    assert (only.outcome, only.reason, only.crash) == (State.QUARANTINED, "worker_lost", None)
    assert only.last is not None
    assert only.last["ran_s"] >= 0
    assert {name: only.last[name] for name in only.last if name != "ran_s"} == {
        "worker": "ward-3:18",
        "stage": "slices",
        "done": 40,
        "total": 300,
        "memory_bytes": 7 * 2**30,
    }


def test_frames_that_a_process_left_are_told_with_its_attempt_whenever_they_are_found(
    sessions: Sessions, tenant: TenantRow
) -> None:
    with sessions.begin() as session:
        job = queue_job(session, tenant.id)
        lose(session, job, make_worker("ward-3:17"))
        retry_job(session, tenant.id, job.id)
        claim(session, job, worker="b:2")

        keep_crash(session, job.id, "ward-3:18", CRASH)
        first, second = tried(session, job)

    assert (first.crash, second.crash) == (CRASH, None)
    assert first.last is not None
    assert (second.worker, second.ended_at) == ("b:2", None)


def test_job_that_succeeded_at_once_was_tried_once(sessions: Sessions, tenant: TenantRow) -> None:
    with sessions.begin() as session:
        job = finished_job(session, tenant.id)

        [only] = tried(session, job)

    assert (only.outcome, only.reason) == (State.SUCCEEDED, "")
