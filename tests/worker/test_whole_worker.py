"""Workers of their own, on a broker of their own: started, watched, stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.worker import ARGUMENTS, soft_stop
from db.reports import report_for
from db.session import Sessions
from db.tables import JobRow
from hilum.jobs import State
from hilum.settings import Settings
from tests.phantoms import chest
from tests.worker.conftest import QueueStored
from tests.worker.processes import PATIENCE_S, ROOT, beat, celery_worker, environment, until
from worker.celery import make_app
from worker.doorbell import Doorbell


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with a part of the broker that no other worker listens to."""
    return settings.model_copy(update={"redis_url": settings.redis_url.removesuffix("0") + "1"})


def reload(sessions: Sessions, job: JobRow) -> JobRow:
    with sessions.begin() as session:
        return session.get_one(JobRow, job.id)


def test_job_nobody_rang_for_is_found_by_the_upkeep_and_run_by_the_shipped_network(
    queue_stored: QueueStored, sessions: Sessions, settings: Settings, tmp_path: Path
) -> None:
    job = queue_stored(network="resnet50")

    with (
        beat(settings, tmp_path / "beat.log"),
        celery_worker(settings, tmp_path / "log", app="worker.app"),
    ):
        until(lambda: reload(sessions, job).is_final, patience_s=120)

    assert reload(sessions, job).error_message is None
    with sessions.begin() as session:
        report = report_for(session, job.tenant_id, job.id)
    assert report.lesion_ml == pytest.approx(chest().lesion_ml, rel=0.3)
    assert report.document["network"]["name"] == "maskrcnn-resnet50"


def test_worker_on_a_machine_without_its_device_ends_and_names_it(
    settings: Settings,
) -> None:
    elsewhere = settings.model_copy(update={"device": "nonsense"})

    ended = subprocess.run(
        [sys.executable, *ARGUMENTS],
        env=soft_stop(os.environ) | environment(elsewhere),
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=3 * PATIENCE_S,
    )

    assert "HILUM_DEVICE is 'nonsense'" in ended.stdout + ended.stderr


def test_worker_that_is_asked_to_stop_hands_its_job_back_at_once(
    queue_stored: QueueStored, sessions: Sessions, settings: Settings, tmp_path: Path
) -> None:
    job = queue_stored(network="endless")
    app = make_app(settings)

    with celery_worker(settings, tmp_path / "log", extra={"SOFT_SHUTDOWN_S": "0.5"}) as worker:
        Doorbell(app).ring()
        until(lambda: reload(sessions, job).stage)
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)

    app.close()
    waiting = reload(sessions, job)
    assert (waiting.state, waiting.claim, waiting.attempts) == (State.QUEUED, None, 0)
