import pytest
from structlog.testing import capture_logs

from hilum.jobs import TAKE_TURN
from hilum.settings import Settings
from tests.buckets import Server, bucket_url, s3
from worker.bench import Bench
from worker.celery import make_app
from worker.tasks import add_tasks, make_ready, refuse_pending_migrations

__all__ = ["bucket_url", "s3"]


def test_tasks_are_known_by_the_names_of_the_contract(settings: Settings) -> None:
    app = make_app(settings)

    add_tasks(app, settings)

    assert TAKE_TURN in app.tasks
    app.close()


def test_worker_refuses_a_database_that_is_behind(settings: Settings) -> None:
    url = settings.database_url.replace("/hilum?", "/postgres?")
    behind = settings.model_copy(update={"database_url": url})

    with pytest.raises(SystemExit, match="database schema is at revision none"):
        refuse_pending_migrations(behind)


def test_worker_starts_on_a_database_of_its_time(settings: Settings) -> None:
    refuse_pending_migrations(settings)


def test_process_on_a_machine_without_its_device_ends(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"device": "nonsense"})

    with pytest.raises(SystemExit, match="HILUM_DEVICE is 'nonsense'"):
        make_ready(lambda: Bench.open(elsewhere), elsewhere)


def test_process_whose_bucket_does_not_exist_ends(settings: Settings, bucket_url: str) -> None:
    assert bucket_url
    elsewhere = settings.model_copy(update={"storage_url": "s3://nowhere/store"})

    with pytest.raises(SystemExit, match="the bucket 'nowhere': there is no such bucket"):
        make_ready(lambda: Bench.open(elsewhere), elsewhere)


def test_process_whose_bucket_is_away_starts_and_says_so(
    settings: Settings, bucket_url: str, s3: Server
) -> None:
    remote = settings.model_copy(update={"storage_url": bucket_url})
    bench = Bench.open(remote)
    s3.stop()

    with capture_logs() as logs:
        try:
            make_ready(lambda: bench, remote)
        finally:
            s3.start()

    assert logs[0]["event"] == "store.unavailable"
