"""What processes leave behind that die at work: a fault its frames, a kill no more than its last signs."""

import fcntl
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from celery import Celery
from structlog.testing import capture_logs

from db.attempts import Attempt, attempts
from db.session import Sessions, make_engine, make_sessions
from db.tables import JobRow
from hilum.jobs import State
from hilum.settings import Settings
from tests.worker.conftest import QueueStored
from tests.worker.processes import celery_worker, children, until
from tests.worker.test_worker import keep_up_until_ended, reload
from worker.blackbox import PREFIX, read_boxes
from worker.celery import make_app
from worker.doorbell import Doorbell


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a part of the broker of its own, and leases that soon run out."""
    own = settings.redis_url.removesuffix("0") + "4"
    return settings.model_copy(update={"redis_url": own, "lease_s": 3, "max_attempts": 2})


@pytest.fixture
def app(settings: Settings) -> Iterator[Celery]:
    app = make_app(settings)
    yield app
    app.close()


@pytest.fixture
def worker(settings: Settings, tmp_path: Path) -> Iterator[Popen[bytes]]:
    with celery_worker(settings, tmp_path / "log") as process:
        yield process


def tried(sessions: Sessions, job: JobRow) -> list[Attempt]:
    with sessions.begin() as session:
        return attempts(session, [job.id])[job.id]


def test_segmentation_fault_is_kept_with_its_frames_and_the_job_ends_in_quarantine(
    worker: Popen[bytes],
    app: Celery,
    queue_stored: QueueStored,
    sessions: Sessions,
    settings: Settings,
) -> None:
    before = children(worker.pid)
    job, bell = queue_stored(network="faulty"), Doorbell(app)
    bell.ring()

    keep_up_until_ended(sessions, bell, settings, job)
    # The process that follows the last one has yet to read what that left.
    until(lambda: all(one.crash for one in tried(sessions, job)))

    assert reload(sessions, job).state is State.QUARANTINED
    found = tried(sessions, job)
    assert [one.outcome for one in found] == [State.QUEUED, State.QUARANTINED]
    for one in found:
        assert one.crash is not None
        assert one.crash["error"] == "Segmentation fault"
        assert [" string_at" in one.crash["frames"][-1]] == [True]
        assert any(" faulty" in frame for frame in one.crash["frames"])
    assert children(worker.pid) != before


def test_killed_process_leaves_no_frames_but_how_far_it_was_and_its_memory(
    worker: Popen[bytes],
    app: Celery,
    queue_stored: QueueStored,
    sessions: Sessions,
    settings: Settings,
) -> None:
    assert worker.poll() is None
    job, bell = queue_stored(network="deadly"), Doorbell(app)
    bell.ring()

    keep_up_until_ended(sessions, bell, settings, job)

    for one in tried(sessions, job):
        assert one.crash is None
        assert one.last is not None
        assert (one.last["worker"], one.last["stage"]) == (one.worker, "slices")
        assert one.last["memory_bytes"] > 50 * 2**20
        assert one.last["ran_s"] >= 0


@pytest.fixture
def dead(tmp_path: Path) -> Callable[[str], Path]:
    """Leave a file behind as a dead process does."""

    def leave(text: str) -> Path:
        path = tmp_path / f"{PREFIX}dead"
        path.write_text(text)
        return path

    return leave


def test_what_a_process_left_that_was_killed_is_removed(
    dead: Callable[[str], Path], sessions: Sessions, tmp_path: Path
) -> None:
    path = dead("4b0e0a0c-0000-0000-0000-000000000000 ward-3:17\n")

    read_boxes(tmp_path, sessions)

    assert not path.exists()


def test_fault_between_two_jobs_or_of_a_job_that_is_gone_is_logged(
    dead: Callable[[str], Path], sessions: Sessions, tmp_path: Path
) -> None:
    fatal = "Fatal Python error: Bus error\n\nStack (most recent call first):\n"
    for text in (fatal, f"4b0e0a0c-0000-0000-0000-000000000000 ward-3:17\n{fatal}"):
        path = dead(text)

        with capture_logs() as lines:
            read_boxes(tmp_path, sessions)

        assert [line["error"] for line in lines] == ["Bus error"]
        assert not path.exists()


def test_file_stays_while_the_database_is_away(dead: Callable[[str], Path], tmp_path: Path) -> None:
    path = dead("4b0e0a0c-0000-0000-0000-000000000000 w:1\nFatal Python error: Aborted\n")
    away = make_engine("postgresql://127.0.0.1:1/x")

    read_boxes(tmp_path, make_sessions(away))

    away.dispose()
    assert path.exists()


def test_file_of_a_process_that_lives_is_left_alone(
    dead: Callable[[str], Path], sessions: Sessions, tmp_path: Path
) -> None:
    path = dead("")

    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        read_boxes(tmp_path, sessions)

    assert path.exists()
