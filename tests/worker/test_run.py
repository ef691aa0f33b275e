import json
import shutil
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from db.attempts import attempts
from db.changes import cancel_job
from db.claims import take_back_overdue
from db.jobs import job_events
from db.session import Sessions
from db.tables import ArtifactRow, JobRow, ReportRow, TenantRow
from db.thresholds import add_thresholds, choose_thresholds
from hilum.errors import GpuMemory, NotAxial, StorageFull
from hilum.findings import Analysis
from hilum.grading import MOSMED
from hilum.jobs import Progress, Stage, State
from hilum.masks import read_mask
from hilum.registry import Registry
from hilum.settings import Settings
from hilum.storage import StudyStore
from tests.phantoms import SLICES, chest, without
from tests.worker.conftest import QueueStored
from tests.worker.networks import HARMS
from tests.worker.pipelines import quick
from tests.worker.turns import run_now
from worker import run
from worker.artifacts import KINDS
from worker.bench import Bench
from worker.celery import make_app
from worker.doorbell import Doorbell
from worker.gpu import Networks
from worker.run import run_next
from worker.upkeep import sweep


def job_of(sessions: Sessions, job_id: UUID) -> JobRow:
    with sessions.begin() as session:
        return session.get_one(JobRow, job_id)


def results_of(bench: Bench, job: JobRow) -> list[Path]:
    folder = Path(bench.store.path(f"{job.tenant_id}/jobs/{job.id}"))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def let_lease_run_out(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(text("UPDATE jobs SET lease_until = now() - interval '1 second'"))
        take_back_overdue(session, max_attempts=3)


def sweep_twice(bench: Bench) -> None:
    """See that nobody goes on, and take away what is left, as the upkeep does a lease later."""
    at_once = bench.settings.model_copy(update={"lease_s": 0})
    for _ in range(2):
        sweep(bench.sessions, bench.store, at_once)


def failing(error: BaseException) -> Any:
    def analyse(*_: Any, progress: Progress) -> Analysis:
        progress(Stage.SLICES, 0, 1)
        raise error

    return analyse


def test_job_is_run_to_its_report(bench: Bench, queue_stored: QueueStored) -> None:
    job = queue_stored()

    claim = run_now(job.id, bench)

    assert claim is not None
    ended = job_of(bench.sessions, job.id)
    with bench.sessions.begin() as session:
        report = session.scalars(select(ReportRow)).one()
        events = [event.event for event in job_events(session, job.id)]
    assert (ended.state, ended.fraction, ended.attempts) == (State.SUCCEEDED, 1.0, 1)
    assert (report.verdict, report.job_id) == ("Mild", job.id)
    assert set(ended.timings_s) == {"reading", "slices", "writing"}
    assert events == ["submitted", "running", "succeeded"]


def test_every_file_of_a_job_is_kept_with_its_hash(bench: Bench, queue_stored: QueueStored) -> None:
    job = queue_stored()

    claim = run_now(job.id, bench)

    assert claim is not None
    with bench.sessions.begin() as session:
        rows = {row.kind: row for row in session.scalars(select(ArtifactRow))}
    assert set(rows) == {kind.kind for kind in KINDS}
    assert all(f"/jobs/{job.id}/{claim.token}/" in row.key for row in rows.values())
    with bench.store.open_file(rows["masks"].key) as stream:
        _, lesions = read_mask(stream, 5)
    with bench.store.open_file(rows["report"].key) as stream:
        report = json.load(stream)
    assert lesions.sum() == 2 * 40 * 40
    assert "writing" in report["timings_s"]
    assert len(results_of(bench, job)) == len(KINDS)


def test_second_message_for_a_job_does_nothing(bench: Bench, queue_stored: QueueStored) -> None:
    job = queue_stored()
    run_now(job.id, bench)

    again = run_now(job.id, bench)

    assert again is None
    assert job_of(bench.sessions, job.id).attempts == 1


def test_message_for_an_unknown_job_does_nothing(bench: Bench) -> None:
    assert run_now(uuid4(), bench) is None


def test_study_that_cannot_be_read_fails_at_once_with_its_code(
    bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored(without(chest().datasets(), "RescaleSlope"))

    run_now(job.id, bench)

    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.error_code) == (State.FAILED, "missing_rescale")
    assert ended.attempts == 1
    assert ended.error_message


@pytest.mark.parametrize("most", [None, 1], ids=["all files", "one file"])
def test_study_whose_files_are_gone_fails_at_once_and_says_so(
    most: int | None, bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored()
    folder = Path(bench.store.path(f"{job.tenant_id}/studies/{job.study_id}"))
    for path in sorted(folder.glob("*.dcm"))[:most]:
        path.unlink()

    run_now(job.id, bench)

    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.error_code, ended.attempts) == (State.FAILED, "files_gone", 1)
    expected = f"Files of the study are no longer stored, expected all {SLICES}."
    assert ended.error_message == expected


@pytest.mark.parametrize("harm", HARMS)
def test_job_waits_for_files_that_are_still_being_copied_and_then_runs(
    harm: str, bench: Bench, queue_stored: QueueStored, site: Path, tmp_path: Path
) -> None:
    whole = shutil.copytree(site, tmp_path / "whole")
    HARMS[harm](site / "ward-1.0.0.safetensors")
    job = queue_stored(network="ward@1.0.0")
    copying = replace(bench, networks=Networks("cpu", Registry(site)))

    for _ in range(bench.settings.max_attempts + 1):
        run_now(job.id, copying)
    waiting = job_of(bench.sessions, job.id)
    shutil.rmtree(site, ignore_errors=True)
    whole.rename(site)
    run_now(job.id, copying)

    assert (waiting.state, waiting.attempts, waiting.error_code) == (State.QUEUED, 0, None)
    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.attempts) == (State.SUCCEEDED, 1)


def test_job_waits_for_a_worker_that_has_its_network(
    bench: Bench, queue_stored: QueueStored, site: Path
) -> None:
    job = queue_stored(network="ward@9.0")

    run_now(job.id, replace(bench, networks=Networks("cpu", Registry(site))))

    waiting = job_of(bench.sessions, job.id)
    with bench.sessions.begin() as session:
        reason = job_events(session, job.id)[-1].detail["reason"]
    assert (waiting.state, waiting.attempts, waiting.error_code) == (State.QUEUED, 0, None)
    assert waiting.retry_at is not None
    assert waiting.absent_since is not None
    assert (waiting.retry_at - waiting.absent_since).total_seconds() == pytest.approx(30)
    assert reason.startswith("This worker lacks network ward@9.0. There is no network 'ward@9.0'")


def test_job_whose_network_nobody_has_had_for_an_hour_fails_by_name(
    bench: Bench, queue_stored: QueueStored, site: Path
) -> None:
    job = queue_stored(network="ward@9.0")
    lacking = replace(bench, networks=Networks("cpu", Registry(site)))
    run_now(job.id, lacking)
    with bench.sessions.begin() as session:
        session.execute(text("UPDATE jobs SET absent_since = now() - interval '61 minutes'"))

    run_now(job.id, lacking)

    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.error_code) == (State.FAILED, "network_absent")
    assert ended.error_message is not None
    assert ended.error_message.startswith("No worker has had network ward@9.0 for 60 minutes.")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StorageFull("The disk has 3 MiB free."), "The disk has 3 MiB free."),
        (GpuMemory("cuda:0 has no memory."), "cuda:0 has no memory."),
        (OperationalError("SELECT 1", {}, Exception("gone")), "OperationalError"),
        (OSError(28, "No space left on device", "/secret/path"), "OSError"),
    ],
)
def test_passing_trouble_gives_the_job_back_for_later(
    error: Exception, reason: str, bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored()

    run_now(job.id, replace(bench, analyse=failing(error)))

    waiting = job_of(bench.sessions, job.id)
    with bench.sessions.begin() as session:
        event = job_events(session, job.id)[-1]
    assert (waiting.state, waiting.attempts) == (State.QUEUED, 1)
    assert waiting.retry_at is not None
    # The clocks of the row and of its event are read one after the other.
    assert (waiting.retry_at - event.at).total_seconds() == pytest.approx(10, abs=5)
    assert event.detail["reason"] == reason
    assert event.detail["crash"]["error"] == type(error).__name__


def test_trouble_that_does_not_pass_fails_the_job_in_the_end(
    bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored()

    for _ in range(3):
        run_now(job.id, replace(bench, analyse=failing(StorageFull("The disk is full."))))

    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.error_code) == (State.FAILED, "attempts_exhausted")
    assert ended.attempts == 3


def test_fault_of_ours_is_recorded_without_what_it_choked_on(
    bench: Bench, queue_stored: QueueStored, capfd: pytest.CaptureFixture[str]
) -> None:
    job = queue_stored()

    run_now(job.id, replace(bench, analyse=failing(ValueError("could not convert 'Doe^John'"))))

    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.error_code) == (State.FAILED, "internal_error")
    assert ended.error_message == "The analysis broke off with ValueError; the log has the place."
    with bench.sessions.begin() as session:
        [attempt] = attempts(session, [job.id])[job.id]
    assert attempt.crash is not None
    assert (attempt.crash["error"], attempt.crash["frames"][-1][-8:]) == ("ValueError", " analyse")
    assert "Doe" not in "".join(capfd.readouterr()) + str(attempt)


def test_job_that_takes_too_long_fails_with_its_limit(
    bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored()

    run_now(job.id, replace(bench, analyse=failing(SoftTimeLimitExceeded())))

    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.error_code) == (State.FAILED, "time_limit")
    assert ended.error_message == "The job ran longer than 3600 s and was stopped."


def test_short_jobs_are_run_by_one_message(
    bench: Bench,
    queue_stored: QueueStored,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "BURST_S", 60.0)
    jobs = [queue_stored(network=f"quick@{number}.0.0") for number in range(3)]
    app = make_app(settings)

    run_next(replace(bench, analyse=quick), Doorbell(app))

    app.close()
    assert {job_of(bench.sessions, job.id).state for job in jobs} == {State.SUCCEEDED}


def test_long_job_leaves_the_next_to_the_next_message(
    bench: Bench,
    queue_stored: QueueStored,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "BURST_S", 0.0)
    first, second = (queue_stored(network=f"quick@{number}.0.0") for number in range(2))
    app = make_app(settings)
    bell = Doorbell(app)

    run_next(replace(bench, analyse=quick), bell)

    rung = bell.unanswered()
    app.close()
    states = [job_of(bench.sessions, job.id).state for job in (first, second)]
    assert (states, rung) == ([State.SUCCEEDED, State.QUEUED], 1)


def test_full_disk_holds_the_queue_and_costs_no_attempt(
    bench: Bench,
    queue_stored: QueueStored,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "HELD_S", 0.0)
    job = queue_stored(network="quick")
    full = StudyStore.open(settings.storage_url, min_free_mb=10**9)
    app = make_app(settings)
    bell = Doorbell(app)

    for _ in range(settings.max_attempts + 1):
        run_next(replace(bench, store=full, analyse=quick), bell)
    held = job_of(bench.sessions, job.id)
    run_next(replace(bench, analyse=quick), bell)

    app.close()
    assert (held.state, held.attempts) == (State.QUEUED, 0)
    assert job_of(bench.sessions, job.id).state is State.SUCCEEDED


def test_worker_that_is_stopped_hands_its_job_on(bench: Bench, queue_stored: QueueStored) -> None:
    job = queue_stored()

    with pytest.raises(SystemExit):
        run_now(job.id, replace(bench, analyse=failing(SystemExit(1))))

    waiting = job_of(bench.sessions, job.id)
    assert (waiting.state, waiting.claim, waiting.attempts) == (State.QUEUED, None, 0)


def test_report_is_graded_by_the_thresholds_that_the_installation_chose(
    bench: Bench, queue_stored: QueueStored
) -> None:
    strict = replace(MOSMED, version="strict-1", bins=(0.08, 0.5, 0.75))
    old, new = queue_stored(), queue_stored()
    run_now(old.id, bench)
    with bench.sessions.begin() as session:
        add_thresholds(session, strict, by="a test")
        choose_thresholds(session, strict.version, by="a test")

    run_now(new.id, bench)

    with bench.sessions.begin() as session:
        graded = {
            row.job_id: (row.thresholds, row.verdict) for row in session.scalars(select(ReportRow))
        }
    assert graded == {old.id: (MOSMED.version, "Mild"), new.id: ("strict-1", "Alarming")}


def test_cancelled_job_stops_at_its_next_step_and_leaves_no_file(
    bench: Bench, queue_stored: QueueStored, tenant: TenantRow
) -> None:
    job = queue_stored()
    steps = []

    def analyse(*args: Any, progress: Progress) -> Analysis:
        analysis = quick(*args, progress=progress)
        with bench.sessions.begin() as session:
            cancel_job(session, tenant.id, job.id)
        steps.append("asked")
        return analysis

    run_now(job.id, replace(bench, analyse=analyse))

    assert steps == ["asked"]
    assert job_of(bench.sessions, job.id).state is State.CANCELLED
    sweep_twice(bench)
    assert results_of(bench, job) == []


def test_late_worker_changes_nothing_and_takes_its_files_with_it(
    bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored()

    def overtaken(*args: Any, progress: Progress) -> Analysis:
        analysis = quick(*args, progress=progress)
        let_lease_run_out(bench.sessions)
        run_now(job.id, bench)
        return analysis

    late = run_now(job.id, replace(bench, analyse=overtaken))

    assert late is not None
    ended = job_of(bench.sessions, job.id)
    assert (ended.state, ended.attempts) == (State.SUCCEEDED, 2)
    with bench.sessions.begin() as session:
        assert len(session.scalars(select(ReportRow)).all()) == 1
        kept = {row.key for row in session.scalars(select(ArtifactRow))}
    sweep_twice(bench)
    assert {str(path) for path in results_of(bench, job)} == {bench.store.path(key) for key in kept}


def test_files_of_a_worker_that_was_killed_are_swept(
    bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored()
    left: list[str] = []

    def killed(*_: Any, **__: Any) -> Analysis:
        token = job_of(bench.sessions, job.id).claim
        prefix = f"{job.tenant_id}/jobs/{job.id}/{token}"
        left.append(bench.store.put(BytesIO(b"half"), f"{prefix}/masks.zip").key)
        let_lease_run_out(bench.sessions)
        raise NotAxial("Too late to matter.")

    run_now(job.id, replace(bench, analyse=killed))
    assert Path(bench.store.path(left[0])).exists()
    run_now(job.id, bench)
    sweep_twice(bench)

    assert not Path(bench.store.path(left[0])).exists()
    assert len(results_of(bench, job)) == len(KINDS)


def test_no_transaction_stays_open_while_the_pipeline_computes(
    bench: Bench, queue_stored: QueueStored
) -> None:
    job = queue_stored()
    open_transactions = []

    def watched(*args: Any, progress: Progress) -> Analysis:
        with bench.sessions.begin() as session:
            open_transactions.append(
                session.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL"
                        " AND pid <> pg_backend_pid() AND datname = current_database()"
                    )
                )
            )
        return quick(*args, progress=progress)

    run_now(job.id, replace(bench, analyse=watched))

    assert open_transactions == [0]


def test_scratch_folder_is_private_and_empty_afterwards(
    bench: Bench, queue_stored: QueueStored
) -> None:
    run_now(queue_stored().id, bench)

    folder = bench.settings.spool_dir
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.iterdir()) == []
